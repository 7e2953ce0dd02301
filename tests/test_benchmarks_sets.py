"""The comparisons of prediction sets and of abstention find what is there, and name what falls short."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from caveat.models.bundles.store import BUNDLED, load

QUALITY = Path(__file__).parents[1] / "benchmarks" / "quality"
MANIFEST = load(BUNDLED / "digits" / "1").manifest


@pytest.fixture(scope="module", autouse=True)
def neighbours() -> Iterator[None]:
    """Let the programs import each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(QUALITY))
        yield


@pytest.fixture(scope="module")
def sets() -> ModuleType:
    return importlib.import_module("sets")


@pytest.fixture(scope="module")
def withheld() -> ModuleType:
    return importlib.import_module("withheld")


def test_all_methods_are_measured_on_the_same_rows(sets: ModuleType) -> None:
    made = importlib.import_module("populations").made
    least = np.where(np.eye(3), 1, 4e-18).astype(np.float32)
    population = replace(made("made", least, MANIFEST, 600), calibration=200, fresh=300)
    found, differing = sets.measure(population, 4)
    assert found.keys() == sets.OWN.keys() | sets.RIVALS.keys()
    assert all(len(of.counts) + of.failed == 4 for of in found.values())
    assert sets.missed(found, differing) == []
    assert 1 < np.mean(found["aps"].sizes) < 3
    assert sets.held(found["MAPIE aps"].counts) < sets.held(found["aps"].counts)
    told = sets.table(population, found)
    assert all(f"  {method} " in told for method in found)


def test_what_falls_short_is_named(sets: ModuleType) -> None:
    right, y = np.eye(3, dtype=bool), np.arange(3)
    y = np.repeat(y, 100)
    fine = {method: sets.Found() for method in sets.OWN}
    for of in fine.values():
        of.add(right[y], y, y)
    assert sets.missed(fine, 0) == []
    assert sets.missed(fine, 2) == ["2 sets of lac are not MAPIE's with the label"]
    empty = right[y]
    empty[:20] = False
    fine["aps, by class"].add(empty, y, y)
    assert sets.missed(fine, 0) == ["aps, by class has empty sets"]
    short = right[(y + (np.arange(300) % 100 < 60)) % 3]
    for _ in range(3):
        fine["aps"].add(short, y, y)
    assert "aps, all rows: too few held" in sets.missed(fine, 0)
    assert "aps, class 0: too few held" not in sets.missed(fine, 0)


def test_a_class_of_few_calibration_rows_must_always_be_held(sets: ModuleType) -> None:
    few = sets.count(np.array([True, True]), 8)
    assert not sets.below([few])
    assert sets.below([sets.count(np.array([True, False]), 8)])
    assert not sets.below([few, sets.count(np.ones(50, bool), 100)])


def test_made_rows_are_wrong_as_often_as_is_said(withheld: ModuleType) -> None:
    of = withheld.stepped(MANIFEST)
    sure = of.answers["predictive_entropy"] < withheld.SURE
    for rows, rate in zip((sure, ~sure), withheld.WRONG, strict=True):
        error = np.sqrt(rate * (1 - rate) / rows.sum())
        assert abs(of.wrong[rows].mean() - rate) < 4 * error
    # s of the rows hold 0.3 * 0.005 + (s - 0.3) * 0.3 wrong answers
    assert withheld.best(of, 0.1) == pytest.approx(0.0885 / 0.2, abs=0.01)


def test_both_methods_are_tried_on_the_same_calibrations(withheld: ModuleType) -> None:
    found = withheld.measured(withheld.stepped(MANIFEST), 0.1, 3)
    for outcome in found.values():
        assert outcome.failed == outcome.refused == 0
        assert 0.3 < min(outcome.answered) <= max(outcome.answered) < 0.45
    assert not withheld.missed([found["Caveat"]], 0.9)
    assert withheld.missed([found["Caveat"]], 0.5)
    assert withheld.missed([replace(found["Caveat"], errors=[0.2] * 3)], 0.9)


def test_passes_as_those_of_the_calibration_are_held_to_their_promises() -> None:
    samples = importlib.import_module("samples")
    fine = np.tile([0.9, 0.05, 0.5, 0.04], (10, 1))
    assert samples.keeps(fine, 2000, 20)
    assert not samples.keeps(fine - [0.02, 0, 0, 0], 2000, 20)
    assert not samples.keeps(fine + np.array([0, 0.1, 0, 0]), 2000, 20)
    assert "8.00 ±0.00" in samples.line("stratified", 100, fine)
    assert "refused" in samples.line("stratified", 100, fine * [1, 0, 0, 0])
