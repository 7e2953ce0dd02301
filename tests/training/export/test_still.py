"""Modules that learn as they run, and dropout of rate 1, which draws nothing."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from caveat.training.export.export import export
from tests.training.export.exporting import OPTIONS, ROWS, behind, exported, refused
from tests.training.export.kinds import MovingAverage, Run


class BatchRenorm(nn.Module):
    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((6,), 0.2))
        self.register_buffer("spread", torch.full((6,), 0.7))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return (x - self.mean) / self.spread
        mean, spread = x.detach().mean(0), x.detach().std(0) + 0.1
        ratio, shift = (spread / self.spread).clamp(0.3, 3), (mean - self.mean) / self.spread
        self.mean += 0.01 * (mean - self.mean)
        self.spread += 0.01 * (spread - self.spread)
        return (x - mean) / spread * ratio + shift


class Counts(nn.Module):
    """Counts its runs, and may answer by the count."""

    count: Tensor

    def __init__(self, weight: float, buffer: bool = True, rate: float = 0.0, in_eval: bool = False) -> None:
        super().__init__()
        self.weight = weight
        self.rate = rate
        self.in_eval = in_eval
        if buffer:
            self.register_buffer("count", torch.zeros(()))
        else:
            self.count = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.in_eval:
            self.count += 1
        return F.dropout(x, self.rate, self.training) * (1 + self.weight * self.count)


@pytest.mark.parametrize(
    ("learning", "sites"),
    [
        (BatchRenorm(), 1),
        (MovingAverage(), 1),
        (nn.Sequential(MovingAverage(), nn.Dropout(0.2)), 2),
        (Counts(0.1), 1),
        (Counts(0.0, rate=0.3), 2),
    ],
)
def test_a_module_that_learns_as_it_runs_is_held_still(learning: nn.Module, sites: int) -> None:
    network = behind(learning, nn.Linear(6, 3))
    before = copy.deepcopy(network.state_dict())
    bundle = exported(network)
    assert len(bundle.manifest.sites) == sites
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("learning", "said", "advised"),
    [
        (Counts(0.1, rate=0.3), "changes its own 2.count as it runs in training mode", "make it a buffer"),
        (
            Counts(0.1, buffer=False),
            "changes its own 2.count as it runs in training mode",
            "make it a buffer",
        ),
        (Counts(0.1, in_eval=True), "changes its own 2.count as it runs, in eval mode too", "self.training"),
    ],
)
def test_a_network_that_answers_by_its_past_is_refused(learning: nn.Module, said: str, advised: str) -> None:
    message = refused(behind(learning, nn.Linear(6, 3)))
    assert said in message
    assert advised in message
    assert "numpy" not in message


def test_the_weights_of_a_network_stay_as_they_are() -> None:
    network = nn.Sequential(
        nn.utils.parametrizations.orthogonal(nn.Linear(6, 6)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6)),
        nn.Dropout(0.3),
        nn.utils.spectral_norm(nn.Linear(6, 3)),
    )
    before = copy.deepcopy(network.state_dict())
    exported(network)
    assert network.training
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    "whole", [nn.Dropout(1.0), nn.AlphaDropout(1.0), nn.Sequential(nn.Dropout(1.0), nn.Dropout(0.0))]
)
def test_dropout_of_rate_1_alone_is_no_active_dropout(whole: nn.Module) -> None:
    message = refused(nn.Sequential(nn.Linear(6, 6), whole, nn.Linear(6, 2)))
    assert "the network has no active dropout (1" in message
    assert "drops every unit, at rate 1" in message


def test_dropout_of_rate_1_before_the_output_lets_no_draw_through() -> None:
    assert "no draw reaches the output" in refused(behind(nn.Dropout(1.0), nn.Linear(6, 2)))


def test_dropout_of_rate_1_can_be_given_another_rate() -> None:
    network = nn.Sequential(nn.Linear(6, 6), nn.Dropout(1.0), nn.Linear(6, 2))
    bundle = export(network, ROWS, rates={"1": 0.5}, **OPTIONS)
    assert [(site.rate, site.trained) for site in bundle.manifest.sites] == [(0.5, False)]


def test_what_is_dropped_in_place_stays_dropped() -> None:
    def run(self: Any, x: Tensor) -> Tensor:
        hidden = self.a(x)
        F.dropout(hidden, 1.0, self.training, inplace=True)
        return self.head(hidden + self.drop(x))  # type: ignore[no-any-return]

    exported(Run(run, a=nn.Linear(6, 6), drop=nn.Dropout(0.4), head=nn.Linear(6, 2)))
