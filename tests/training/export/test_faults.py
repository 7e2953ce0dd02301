"""Faults planted into an export; the self-test finds each."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from caveat.models import predictor as predictors
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.manifest import Law, Site
from caveat.models.draws import keeping
from caveat.models.draws.masks import draw
from caveat.models.predictor import Predictor
from caveat.training.errors import ExportError
from caveat.training.export import laws, randomness, reference
from caveat.training.export.bits import find_stable_bits
from caveat.training.export.capture import capture, functional, in_training_mode
from caveat.training.export.draw_inputs import DrawInputs
from caveat.training.export.export import export
from caveat.training.export.rewrite import Rewritten
from caveat.training.export.rows import Rows
from caveat.training.export.runs import PASSES as PASS_COUNTS
from caveat.training.export.runs import ROWS as ROW_COUNTS
from caveat.training.export.runs import Runs
from caveat.training.export.sites import active, find_sites
from tests.training.export.kinds import KINDS, Run, network

aten = torch.ops.aten

ROWS = torch.rand(3, 6, generator=torch.Generator().manual_seed(0))
OPTIONS: dict[str, Any] = {"task": "classification", "outputs": "logits", "name": "faulty"}


def dropping() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.Dropout(0.3), nn.Linear(32, 2))


def refused(module: nn.Module) -> str:
    with pytest.raises(ExportError) as refusal:
        export(module, ROWS, **OPTIONS)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("rewriting", "stated"),
    [
        (lambda draw, x, p, _: x * draw("dropout", "keep", x.shape, p + 1e-4), "bernoulli draws of 0.6999"),
        (lambda draw, x, p, _: x * draw("dropout", "bernoulli", x.shape, 1 - p), "bernoulli draws of 0.3"),
        (lambda draw, x, p, _: x * draw("dropout", "uniform", x.shape) * 2, "uniform draws"),
        (lambda draw, x, p, _: x * (1 + 0.65 * draw("dropout", "normal", x.shape)), "normal draws"),
        (lambda draw, x, p, _: x * draw("dropout", "keep", x.shape[1:], p), "of shape (32,)"),
        (lambda draw, x, p, _: x * draw("dropout", "keep", [x.shape[0], 1], p), "of shape (3, 1)"),
    ],
    ids=["rate", "complement", "uniform", "normal", "shared by rows", "shared by units"],
)
def test_a_site_that_states_another_draw_than_that_of_pytorch_is_found(
    monkeypatch: pytest.MonkeyPatch, rewriting: Callable[..., Tensor], stated: str
) -> None:
    monkeypatch.setitem(randomness.REWRITES, aten.dropout.default, rewriting)
    message = refused(dropping())
    assert stated in message.partition("; PyTorch draws ")[0]
    assert message.endswith(
        "PyTorch draws bernoulli draws of 0.7 of shape (3, 32). "
        "Please report this network: it shows a fault in Caveat"
    )


@pytest.mark.parametrize(
    "other",
    [
        lambda self, x: x * F.dropout(torch.ones(6), 0.3, self.training),
        lambda self, x: x * F.dropout(torch.ones(1, 6), 0.3, self.training),
        lambda self, x: x * F.dropout(torch.ones(len(x), 1), 0.3, self.training),
        lambda self, x: F.dropout(x, 0.31, self.training),
        lambda self, x: F.dropout(F.dropout(x, 0.3, self.training), 0.3, self.training),
        lambda self, x: x * torch.rand_like(x),
        lambda self, x: x,
    ],
    ids=["shared", "shared by rows", "shared by units", "rate", "twice", "uniform", "never"],
)
def test_a_network_that_draws_otherwise_than_its_sites_is_found(other: Callable[..., Tensor]) -> None:
    """The reverse of the test above, for draws that the network shares: here the faulty side is PyTorch."""
    module = in_training_mode(nn.Dropout(0.3))
    captured = capture(module, [ROWS], [{0: "rows"}])
    found = active(find_sites(captured))
    graph = functional(Rewritten(captured, found), [ROWS], [{0: "rows"}])
    draws = DrawInputs(graph, Rows(graph), found, [{0: "rows"}])
    laws.draws_as_stated(module, [ROWS], draws)
    with pytest.raises(
        ExportError, match=r"site dropout .* states bernoulli draws of 0\.7|the network draws"
    ):
        laws.draws_as_stated(Run(other), [ROWS], draws)


@pytest.mark.parametrize("factor", [0.99, 0.7, -1.0])
def test_a_scaled_mask_is_found(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """Law, rate and shape are right, so that the comparison of passes finds it."""
    monkeypatch.setitem(
        randomness.REWRITES,
        aten.dropout.default,
        lambda draw, x, p, _: x * (factor * draw("dropout", "keep", x.shape, p)),
    )
    message = refused(dropping())
    assert message.startswith("passes.onnx on 1 rows x 1 passes: differs from the PyTorch network")
    assert message.endswith("The difference begins at site 1 (dropout)")


@pytest.mark.parametrize("sampler", ["independent", "stratified"])
@pytest.mark.parametrize("off", [-0.01, 0.01])
def test_masks_of_another_rate_than_stated_are_found(
    monkeypatch: pytest.MonkeyPatch, off: float, sampler: str
) -> None:
    """PyTorch and the graph take the same masks here, so that their passes agree."""
    name = "independent" if sampler == "independent" else "_patterns_by_choice"
    right, place = getattr(keeping, name), 1 if sampler == "independent" else 0

    def wrong(*of: Any) -> Any:
        return right(*of[:place], of[place] + off, *of[place + 1 :])

    monkeypatch.setattr(keeping, name, wrong)
    assert f"the {sampler} draws of site 1 do not follow its law, keep" in refused(dropping())


def test_a_network_that_draws_outside_of_its_sites_is_found() -> None:
    hidden = Run(lambda self, x: F.dropout(x, 0.5, self.training) + torch.randint(2, x.shape))
    with pytest.raises(ExportError, match="draws more than its captured graph"):
        reference.passes(in_training_mode(hidden), [ROWS], [torch.ones(1, 3, 6)])


def test_noise_around_means_that_are_broadcast_is_drawn_for_every_unit() -> None:
    noisy = Run(
        lambda self, x: self.head(torch.normal(x[:, :1], x.abs()) if self.training else x[:, :1] + 0 * x),
        head=nn.Linear(6, 2),
    )
    bundle = export(noisy, ROWS, **OPTIONS)
    assert [site.shape for site in bundle.manifest.sites] == [("passes", 1, 6)]


LAWS: list[tuple[Law, float | None]] = [
    ("keep", 0.1),
    ("keep", 0.9),
    ("bernoulli", 0.5),
    ("uniform", None),
    ("normal", None),
]


def site(law: Law, rate: float | None, units: int = 1000) -> Site:
    return Site(name="site", kind="dropout", law=law, rate=rate, shape=("passes", 1, units))


@pytest.mark.parametrize(("law", "rate"), LAWS)
@pytest.mark.parametrize("units", [1, 7, 1000])
def test_correct_draws_follow_their_law(law: Law, rate: float | None, units: int) -> None:
    one = site(law, rate, units)
    assert all(laws.follows_its_law(one, draw(one, seed, 0, 100)) for seed in range(30))
    laws.draws_as_drawn_here([one], {})


@pytest.mark.parametrize(("law", "rate"), LAWS)
@pytest.mark.parametrize(
    "fault",
    [
        lambda values: 0 * values,
        lambda values: np.sign(values) * np.abs(values) ** 0.9 + 0.01,
        lambda values: np.repeat(values[:, :, :1], values.shape[2], axis=2),
    ],
    ids=["zeros", "another law", "one draw for all units"],
)
def test_draws_of_another_law_are_found(
    law: Law, rate: float | None, fault: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> None:
    one = site(law, rate, 100_000)
    assert not laws.follows_its_law(one, fault(draw(one, 0, 0, 7)))


@pytest.fixture(scope="module")
def unstable() -> Bundle:
    """Make a bundle whose rows have other bits in a run of one row than in a run of several."""
    kind = KINDS["dropout on weights"]
    return export(network(kind, 3), kind.example(3)[0], **OPTIONS)


@pytest.mark.parametrize("working_set", [10, 100, 2**22])
def test_the_least_rows_are_found_with_the_runs_of_a_large_network_too(
    monkeypatch: pytest.MonkeyPatch, unstable: Bundle, working_set: int
) -> None:
    assert unstable.manifest.least_rows == 2
    monkeypatch.setattr(predictors, "WORKING_SET", working_set)
    runs = Runs(Predictor(unstable, threads=1), KINDS["dropout on weights"].example(3))
    shapes = runs.shapes()
    assert {(1, 1), (2, 1)} <= set(shapes)
    assert (len(shapes) == len(ROW_COUNTS) * len(PASS_COUNTS)) == (working_set == 2**22)
    assert find_stable_bits(runs) == 2
