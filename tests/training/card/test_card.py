import re
from html.parser import HTMLParser

import numpy as np

from caveat.models.bundles.bundle import CARD, Bundle, pack
from caveat.training.calibrate import calibrate
from caveat.training.card.card import card, with_card
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
