from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import rotate

from caveat.models.bundles.store import BUNDLED, load
from caveat.models.drift.drift import HIGHEST, REST, Drift, comparable
from caveat.models.estimates.answer import estimate
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.models.tasks.decisions import Decisions
from caveat.training.data.bundled import BUNDLED as DATA
from caveat.training.data.dataset import split

LAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "continuous": lambda random, rows: random.exponential(size=rows),
    "five values": lambda random, rows: random.integers(0, 5, rows).astype(float),
    "two targets": lambda random, rows: (
        random.exponential(size=(rows, 1)) * random.exponential(size=(rows, 2))
    ),
}
STREAMS, PORTION = 400, 32
DIGITS = Predictor(load(BUNDLED / "digits" / "1"))


def highest(drift: Drift, rows: np.ndarray) -> float:
    """Observe rows in portions, as the service does, and give the highest value."""
    values = [drift.value]
    for start in range(0, len(rows), PORTION):
        drift.observe(rows[start : start + PORTION])
        values.append(drift.value)
    return max(values)


def rows_to(value: float, drift: Drift, rows: np.ndarray) -> int:
    """Count the rows until a value is reached; ``len(rows) + 1`` if it is not."""
    for count, row in enumerate(rows, 1):
        drift.observe(row[None])
        if drift.value >= value:
            return count
    return len(rows) + 1


def assert_promised(values: list[float]) -> None:
    """Check the highest values of streams without drift; a false alarm has probability 1e-4."""
    for value in (20, 100):
        assert np.sum(np.array(values) >= value) <= stats.binom.ppf(0.9999, len(values), 1 / value)


@cache
def digits(angle: float) -> np.ndarray:
    """Give the uncertainty of rotated digits that were held out from the bundled model's training."""
    dataset = DATA["digits"]()
    inputs, _ = dataset.fed(split(dataset, 0.2, 1).test)
    assert DIGITS.calibration
    turned = {"image": rotate(inputs["image"], angle, axes=(2, 1), reshape=False, order=1)}
    return DIGITS.calibration.uncertainty_of(estimate(DIGITS, turned, 100, 0))


@pytest.mark.parametrize("law", LAWS)
def test_exchangeable_rows_raise_no_more_alarms_than_promised(law: str) -> None:
    values = []
    for seed in range(STREAMS):
        rows = LAWS[law](np.random.default_rng(seed), 360 + 2000)
        values.append(highest(Drift(rows[:360], seed), rows[360:]))
    assert_promised(values)


def test_held_out_digits_raise_no_more_alarms_than_promised() -> None:
    values = []
    for seed in range(STREAMS):
        rows = np.random.default_rng(seed).permutation(digits(0))
        values.append(highest(Drift(rows[:180], seed), rows[180:]))
    assert_promised(values)


@pytest.mark.parametrize("angle", [-90, -45, 30, 45, 90])
def test_rotated_digits_raise_an_alarm_within_200_rows(angle: float) -> None:
    assert DIGITS.calibration
    needed = []
    for seed in range(30):
        rows = np.random.default_rng(seed).permutation(digits(angle))[:200]
        needed.append(rows_to(100, Drift(DIGITS.calibration.uncertainty, seed), rows))
    assert np.mean(np.array(needed) <= 200) >= 0.95


def test_digits_rotated_after_500_rows_raise_an_alarm_within_200_more() -> None:
    """Rows are drawn with replacement, since fewer than 700 digits were held out."""
    needed = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        drift = Drift(random.choice(digits(0), 359), seed)
        drift.observe(random.choice(digits(0), 500))
        needed.append(rows_to(100, drift, random.choice(digits(90), 200)))
    assert np.mean(np.array(needed) <= 200) >= 0.85


def test_rows_more_certain_than_the_calibration_rows_raise_an_alarm_too() -> None:
    drift = Drift(digits(30))
    assert rows_to(100, drift, digits(0)[:200]) <= 200


def test_the_drift_of_one_of_several_targets_raises_an_alarm() -> None:
    random = np.random.default_rng(0)
    known, rows = random.exponential(size=(300, 3)), random.exponential(size=(200, 3))
    assert rows_to(100, Drift(known), rows) == 201
    rows[:, 1] *= 30
    assert rows_to(100, Drift(known), rows) <= 200


@pytest.mark.parametrize("portion", [1, 7, 32, 100])
def test_the_value_equals_the_formula(portion: int) -> None:
    random = np.random.default_rng(3)
    known, rows = random.integers(0, 20, 50).astype(float), random.integers(0, 50, 100) / 2
    drift = Drift(known, seed=9)
    values = []
    for start in range(0, len(rows), portion):
        drift.observe(rows[start : start + portion])
        values.append(drift.value)
    formula = slow(known, rows, np.random.default_rng(9))
    assert drift.rows == 100
    assert values == pytest.approx([*formula[portion - 1 :: portion], formula[-1]][: len(values)])


def slow(known: np.ndarray, rows: np.ndarray, random: np.random.Generator) -> list[float]:
    """Compute the value after each row by the definition: one bet after another, from each row on."""
    before = list(known)
    ranks = []
    for row in rows:
        # In a gap between known scores, all rows count as equal.
        place = row if row in known else known[known < row].max(initial=-1) + 1e-6
        smaller, equal = sum(each < place for each in before), sum(each == place for each in before) + 1
        ranks.append((smaller + random.uniform(2**-53, 1) * equal) / (len(before) + 1))
        before.append(place)
    waiting = [1 / (1 + np.log(1 + row)) for row in range(len(rows) + 1)]
    values = []
    for stop in range(1, len(rows) + 1):
        value = waiting[stop]
        for start in range(stop):
            for power in (1 / 4, 1 / 2, 3 / 4):
                less = np.array(ranks[start:stop])
                for part in (less, 1 - less):
                    bet = np.prod(power * part ** (power - 1))
                    value += (waiting[start] - waiting[start + 1]) / 6 * bet
        values.append(float(value))
    return values


def test_a_test_ends_at_the_highest_value_and_another_begins() -> None:
    random = np.random.default_rng(0)
    drift = Drift(random.normal(size=300))
    drift.observe(np.full(200, 100.0))
    assert drift.value == HIGHEST
    drift.observe(random.normal(size=REST - 200))
    assert drift.value == HIGHEST
    drift.observe(random.normal(size=400))
    assert drift.value < 20
    assert drift.rows == REST + 400


def test_equal_streams_give_equal_values() -> None:
    known, rows = digits(0)[:200], digits(0)[200:]
    values = []
    for seed in (0, 0, 1):
        drift = Drift(known, seed)
        drift.observe(rows)
        values.append(drift.value)
    assert values[0] == values[1] != values[2]


def test_targets_without_variance_give_a_finite_value() -> None:
    drift = Drift(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 0.0]]))
    drift.observe(np.array([[0.0, 0.0], [1.0, 3.0]]))
    assert np.isfinite(drift.value)


def test_only_rows_answered_as_the_calibration_rows_are_comparable() -> None:
    assert DIGITS.calibration
    facts = DIGITS.calibration.facts
    assert comparable(Asked(100, 0), facts)
    assert comparable(Asked(100, 0, decisions=Decisions(coverage=0.9)), facts)
    others = (Asked(200, 0), Asked(100, 1), Asked(100, 0, tolerance=0.01), Asked(100, 0, "independent"))
    assert not any(comparable(other, facts) for other in others)
