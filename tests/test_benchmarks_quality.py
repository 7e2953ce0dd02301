"""What the benchmarks on uncertainty take for expected must be, and what they find must be what is there."""

import importlib
import runpy
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caveat.models.answers.conformal import quantile
from caveat.models.bundles.store import BUNDLED, load
from caveat.training.fits.mixture import log_density

QUALITY = Path(__file__).parents[1] / "benchmarks" / "quality"
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(QUALITY))  # the programs import their neighbours
    CONFORMAL = runpy.run_path(str(QUALITY / "conformal.py"))
LAW = runpy.run_path(str(QUALITY / "law.py"))
ABSTENTION = runpy.run_path(str(QUALITY / "abstention.py"))
LEVELS = (0.8, 0.9, 0.95, 0.99)
DRAWS = 4000


@pytest.fixture(scope="module")
def divisions() -> np.ndarray:
    """Count fresh rows held, of 40, by 120 calibration rows, as the service would: (DRAWS, levels)."""
    scores = np.random.default_rng(0).random((DRAWS, 160))
    known, fresh = np.sort(scores[:, :120]), scores[:, 120:]
    limits = np.array([[quantile(row, level) for level in LEVELS] for row in known])
    held: np.ndarray = (fresh[:, :, None] <= limits[:, None]).sum(axis=1)
    return held


def test_violations_are_as_frequent_as_they_are_expected(divisions: np.ndarray) -> None:
    for place, level in enumerate(LEVELS):
        low, high = LAW["bounds"](120, 40, level)
        expected = LAW["false_alarms"](120, 40, level)
        seen = np.mean((divisions[:, place] < low) | (divisions[:, place] > high))
        assert expected <= 0.05
        assert abs(seen - expected) < 4 * np.sqrt(expected / DRAWS)


def test_the_four_counts_of_a_division_vary_together_as_they_are_simulated(divisions: np.ndarray) -> None:
    simulated = LAW["simulated"](120, 40, LEVELS)
    np.testing.assert_allclose(simulated.mean(axis=0), divisions.mean(axis=0), atol=0.2)
    np.testing.assert_allclose(np.cov(simulated.T), np.cov(divisions.T), rtol=0.15)


@pytest.mark.slow
def test_counts_outside_their_bounds_are_found_and_their_number_foretold(divisions: np.ndarray) -> None:
    counts = [
        LAW["Count"]("task", 0, 120, 40, dict(zip(LEVELS, map(int, row), strict=True)))
        for row in divisions[:1000]
    ]
    seen, expected, deviation = LAW["totals"](counts)
    assert abs(seen - expected) < 3 * deviation
    _, low_at_90, *_ = (LAW["bounds"](120, 40, level)[0] for level in LEVELS)
    broken = [replace(each, held={**each.held, 0.9: low_at_90 - 1}) for each in counts]
    assert LAW["totals"](broken)[0] >= 1000


def test_sets_that_hold_more_than_the_law_says_are_no_violations() -> None:
    low, high = LAW["bounds"](120, 40, 0.8)
    for held, outside in {low - 1: (True, True), low: (False, False), high + 1: (True, False)}.items():
        count = LAW["Count"]("task", 0, 120, 40, {0.8: held})
        assert [replace(count, at_least=of).violations()[0.8] for of in (False, True)] == list(outside)
    _, expected, _ = LAW["totals"]([count])
    _, one_sided, _ = LAW["totals"]([replace(count, at_least=True)])
    assert 0 < one_sided < expected


@pytest.mark.parametrize(("held", "of_intervals", "of_sets"), [(20, 1, 1), (32, 0, 0), (40, 1, 0)])
def test_intervals_have_two_bounds_and_sets_one(
    held: int, of_intervals: bool, of_sets: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    count = CONFORMAL["Count"]("task", 0, 120, 40, {0.8: held})
    assert CONFORMAL["missed"]([count]) == of_intervals
    assert CONFORMAL["missed"]([replace(count, at_least=True)]) == of_sets
    assert "sets" in capsys.readouterr().out


def test_any_set_of_a_folder_is_divided_as_it_says(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(50)
    np.savez(tmp_path / "wine.npz", X=np.eye(50), y=order, train_idx=order[:40], test_idx=order[40:])
    dataset, orders = CONFORMAL["read"](tmp_path, "wine", 20)
    assert dataset.x.shape == (50, 50)
    np.testing.assert_array_equal(orders, order[None])


def test_a_plot_has_a_panel_for_every_set(tmp_path: Path) -> None:
    counts = [LAW["Count"](f"set {n}", 0, 120, 40, dict.fromkeys(LEVELS, 36)) for n in range(9)]
    CONFORMAL["plot"](counts, tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert all(f"set {n}, 120 + 40 rows" in drawn for n in range(9))


def test_promises_that_fail_are_told_from_those_refused() -> None:
    outcome = ABSTENTION["Outcome"](100, 0.01, [0.005, 0.02, None, 0.01], [0.9, 0.95, 0.0, 0.9])
    assert (outcome.failed, outcome.refused) == (0.25, 0.25)


def test_a_threshold_is_judged_by_all_rows_that_it_answers() -> None:
    manifest = load(BUNDLED / "digits" / "1").manifest
    uncertainty = np.linspace(0, 1, 1000)
    y = np.zeros(1000, np.int64)
    answers = {
        "mean": np.full((1000, 10), 0.1, np.float32),
        "label": (uncertainty > 0.9).astype(np.int64),
        "predictive_entropy": uncertainty,
    }
    known = ABSTENTION["repeated"](manifest, y, answers, 1000, 0.01, 20)
    assert known.failed == known.refused == 0
    assert min(known.answered) > 0.85
    assert max(known.answered) < 0.92
    few = ABSTENTION["repeated"](manifest, y, answers, 200, 0.01, 3)
    assert few.refused == 1
    assert few.answered == [0.0, 0.0, 0.0]


def test_images_of_another_size_are_read_and_changed(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(QUALITY))
        network = importlib.import_module("network")
        nonsense = importlib.import_module("nonsense").nonsense
    x, y = np.arange(24 * 36, dtype=np.uint8).reshape(24, 6, 6), np.arange(24) % 12
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    read = network.digits(tmp_path)
    assert [len(part.y) for part in (read.train, read.held_out, read.test)] == [22, 2, 4]
    assert {images.shape for images in nonsense(read.train.x).values()} == {(22, 6, 6)}
    recipe = replace(network.RECIPES["adam"], epochs=1)
    trained = network.trained(read.train, recipe, 0, tmp_path)
    assert trained(torch.from_numpy(read.test.x)).shape == (4, 12)


@pytest.fixture(scope="module")
def ensemble() -> ModuleType:
    """Import the program on ensembles, which imports others beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(QUALITY))
        return importlib.import_module("ensemble")


class Constant(nn.Module):
    """Answers every row alike."""

    def __init__(self, *answer: float) -> None:
        super().__init__()
        self.answer = torch.tensor(answer, dtype=torch.float64)

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (B, ...) to answers (B, ...)."""
        return self.answer.expand(len(rows), -1)


def test_an_ensemble_of_classifiers_is_the_mean_of_their_probabilities(ensemble: ModuleType) -> None:
    networks = [Constant(0.9, 0.1), Constant(0.5, 0.5)]
    found = ensemble.probabilities(networks, np.zeros((3, 2), np.float32), seed=0)
    np.testing.assert_allclose(found[ensemble.ENSEMBLE], [[0.7, 0.3]] * 3)
    np.testing.assert_allclose(found[ensemble.ONCE], [[0.9, 0.1]] * 3)
    np.testing.assert_allclose(found[ensemble.MONTE_CARLO], [[0.9, 0.1]] * 3)


def test_an_ensemble_of_regressions_is_the_mixture_of_their_normals(ensemble: ModuleType) -> None:
    networks = [Constant(-1.0, 0.0), Constant(1.0, 0.0)]
    found = ensemble.normals(networks, np.zeros((1, 2)), seed=0)
    means, variances = found[ensemble.ENSEMBLE]
    assert log_density(means, variances, np.zeros(1)) == pytest.approx(-0.5 * np.log(2 * np.pi) - 0.5)
    apart = 0.5 / np.sqrt(2 * np.pi) * (1 + np.exp(-2))
    assert log_density(means, variances, np.ones(1)) == pytest.approx(np.log(apart))


def test_no_two_splits_share_a_network(ensemble: ModuleType) -> None:
    assert len({member for split in range(20) for member in ensemble.members(split)}) == 100
