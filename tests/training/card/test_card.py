import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from caveat.models.bundles.bundle import CARD, Bundle, pack
from caveat.training.calibrate import calibrate
from caveat.training.card.card import card, with_card
from caveat.training.drawing.classes import draw_reliability
from caveat.training.evaluation.evaluate import evaluate
from tests.bundles import drawn, linear_regression, linear_targets, tabular

HOSTILE = ("<script>alert(1)</script>", "$x_1^&\"'")


def page(bundle: Bundle, rows: int = 60) -> str:
    inputs, truth = drawn(bundle.manifest, rows, 0)
    return card(evaluate(calibrate(bundle, inputs, truth), inputs, truth, crossed=True))


class Tags(HTMLParser):
    """Checks that every opened tag is closed."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    return tags


def test_the_page_has_the_figures_and_needs_nothing_else() -> None:
    bundle = tabular()
    inputs, truth = drawn(bundle.manifest, 200, 0)
    (evaluation,) = evaluate(calibrate(bundle, inputs, truth), inputs, truth)
    text = card([evaluation])
    tags = checked(text)
    assert text.count("<svg") == 5
    for figures in evaluation.figures.values():
        assert f"{figures['log likelihood'].value:.3g} <small>" in text
    assert not tags.seen & {"script", "link", "img", "iframe", "object", "form"}
    assert not re.search(r"(src|href)=\"(?!#)", text.replace("xlink:", ""))
    assert "was calibrated on these rows" in text
    assert len(text) < 300_000


@pytest.mark.parametrize("wrong", [0, 60])
def test_saturated_rows_of_one_class_make_a_page(wrong: int) -> None:
    bundle = tabular(rate=1e-9)
    inputs = {"x": np.full((60, 3), (1e6, 0, 0), np.float32)}  # each is answered with (1, 0)
    truth = (np.arange(60) < wrong).astype(np.int64)
    bundle = calibrate(bundle, inputs, truth)
    text = card(evaluate(bundle, inputs, truth, strange=inputs))
    checked(text)
    assert "nan" not in text
    assert text.count("<svg") == 4  # no pass differs from another, so that nothing converges


def test_dots_of_the_reliability_plot_lie_in_the_bins_of_the_calibration_error() -> None:
    bundle = tabular()
    inputs, truth = drawn(bundle.manifest, 200, 0)
    (evaluation,) = evaluate(bundle, inputs, truth)
    axes = Figure().subplots()
    draw_reliability(evaluation, axes)
    line = next(line for line in axes.lines if line.get_label() == "Monte Carlo")
    sure, right = np.asarray(line.get_xydata()).T
    shares = np.array([bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)])
    distances = shares[shares > 0] * np.abs(sure - right)
    assert distances.sum() == pytest.approx(evaluation.figures["Monte Carlo"]["ECE"].value)


def test_names_from_users_are_escaped() -> None:
    bundle = tabular()
    manifest = bundle.manifest.model_copy(
        update={"classes": HOSTILE, "description": HOSTILE[0], "target": HOSTILE[1]}
    )
    text = page(pack(manifest, bundle.files))
    checked(text)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    regression = linear_regression()
    hostile = regression.manifest.model_copy(update={"target": HOSTILE[1] + "<b>"})
    text = page(pack(hostile, regression.files))
    checked(text)
    assert "<b>" not in text


def test_equal_rows_give_equal_bytes() -> None:
    assert page(linear_regression()) == page(linear_regression())


def test_every_target_has_a_part() -> None:
    bundle = linear_targets()
    text = page(bundle)
    checked(text)
    for target in bundle.manifest.targets or ():
        assert f"<h2>{target}</h2>" in text


def test_a_bundle_gets_a_card_from_enough_rows_and_loses_it_when_calibrated_again() -> None:
    bundle = linear_regression()
    inputs, truth = drawn(bundle.manifest, 60, 0)
    calibrated = calibrate(bundle, inputs, truth)
    shown = with_card(calibrated, inputs, truth)
    assert shown.manifest.files[CARD].bytes == len(shown.files[CARD])
    assert b"each half was evaluated" in shown.files[CARD]
    assert CARD not in calibrate(shown, inputs, truth).files
    few = {name: rows[:39] for name, rows in inputs.items()}
    assert with_card(calibrated, few, np.asarray(truth[:39])) is calibrated
