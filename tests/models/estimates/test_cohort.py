from itertools import cycle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caveat.models import predictor as predictors
from caveat.models.bundles.manifest import Site
from caveat.models.draws import cache, masks
from caveat.models.draws.strata import BLOCK
from caveat.models.estimates.answer import estimate
from caveat.models.estimates.cohort import FIRST_LOOK, Cohort, in_order
from caveat.models.predictor import Predictor
from tests.bundles import BIAS, WEIGHTS, linear_regression, linear_targets, tabular

LINEAR = Predictor(linear_regression(), threads=1)
PAIR = Predictor(linear_targets(), threads=1)
TABULAR = Predictor(tabular(), threads=1)


def points(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).normal(0, 1, (rows, 3)).astype(np.float32)}


def patients(rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    columns = [random.uniform(20, 90, rows), random.integers(0, 2, rows), random.uniform(0, 5, rows)]
    return {"x": np.stack(columns, axis=1).astype(np.float32)}


def run(cohort: Cohort, *most: int) -> dict[str, Any]:
    """Run a cohort to its end, with blocks of these sizes in turn."""
    pieces = []
    for at_once in cycle(most or (100,)):
        if not len(cohort.rows):
            break
        assert cohort.next_rows(at_once) <= len(cohort.rows)
        rows, columns = cohort.step(at_once)
        if len(rows):
            pieces.append((rows, columns))
    return dict(in_order(pieces))


@given(
    samples=st.lists(st.integers(2, 130), min_size=1, max_size=12),
    tolerances=st.lists(st.sampled_from([0.0, 0.02, 0.1, 0.5]), min_size=12, max_size=12),
    working_set=st.sampled_from([50, 500, 2**23]),
    seed=st.integers(0, 3),
    most=st.lists(st.integers(1, 12), min_size=1, max_size=3),
)
@settings(deadline=None, max_examples=60)
def test_the_answer_to_a_row_does_not_depend_on_the_other_rows(
    samples: list[int], tolerances: list[float], working_set: int, seed: int, most: list[int]
) -> None:
    count = len(samples)
    inputs = patients(count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictors, "WORKING_SET", working_set)
        cohort = Cohort(TABULAR, inputs, seed, "stratified", np.array(samples), np.array(tolerances[:count]))
        together = run(cohort, *most)
    for row in range(count):
        alone = estimate(
            TABULAR,
            {"x": inputs["x"][row : row + 1]},
            samples[row],
            seed,
            tolerance=tolerances[row],
        )
        for name, column in alone.items():
            np.testing.assert_array_equal(together[name][row], column[0], name)


def test_a_row_leaves_once_it_is_within_its_tolerance() -> None:
    inputs = points(40)
    answer = estimate(LINEAR, inputs, 1000, seed=0, sampler="independent", tolerance=0.3)
    assert len(set(answer["passes"])) > 3
    assert answer["passes"].min() >= FIRST_LOOK
    assert set(answer["passes"] % BLOCK) == {0}
    enough = answer["passes"] < 1000
    assert (answer["standard_error"][enough] <= 0.3).all()
    one_less = estimate(LINEAR, inputs, int(answer["passes"].max()) - BLOCK, 0, "independent")
    slowest = answer["passes"].argmax()
    assert one_less["standard_error"][slowest] > 0.3


def test_the_worst_of_several_targets_must_be_within_the_tolerance() -> None:
    inputs = points(40)
    answer = estimate(PAIR, inputs, 1000, seed=0, sampler="independent", tolerance=20.0)
    assert answer["mean"].shape == answer["standard_error"].shape == (40, 2)
    assert len(set(answer["passes"])) > 3
    enough = answer["passes"] < 1000
    assert (answer["standard_error"][enough] <= 20).all()
    one_less = estimate(PAIR, inputs, int(answer["passes"].max()) - BLOCK, 0, "independent")
    assert one_less["standard_error"][answer["passes"].argmax()].max() > 20


def test_moments_of_several_targets_equal_their_closed_form() -> None:
    inputs = points(20)
    answer = estimate(PAIR, inputs, 4000, seed=0, sampler="independent")
    x = inputs["x"].astype(np.float64)
    variance = ((x[:, :, None] * WEIGHTS) ** 2).sum(axis=1)
    error = answer["mean"] - (x @ WEIGHTS + BIAS)
    assert (np.abs(error) < 5 * np.sqrt(variance / 4000)).all()
    np.testing.assert_allclose(answer["epistemic_variance"], variance, rtol=0.12)
    np.testing.assert_array_equal(answer["aleatoric_variance"], [[0.25, 400]] * 20)
    alone = estimate(PAIR, {"x": inputs["x"][3:4]}, 4000, seed=0, sampler="independent")
    for name, column in alone.items():
        np.testing.assert_array_equal(column[0], answer[name][3], name)


def test_a_row_that_never_reaches_its_tolerance_gets_all_passes() -> None:
    answer = estimate(LINEAR, points(3), 120, seed=0, tolerance=1e-9)
    assert answer["passes"].tolist() == [120] * 3


def test_a_row_without_a_tolerance_gets_all_passes_even_at_a_standard_error_of_zero() -> None:
    """If all passes are equal, the standard error is 0, and so is a tolerance that was not asked for."""
    rows = {"x": np.zeros((2, 3), np.float32)}
    cohort = Cohort(LINEAR, rows, 0, "stratified", np.array([300, 300]), np.array([0.0, 0.5]))
    assert run(cohort)["passes"].tolist() == [300, FIRST_LOOK]


def test_rows_that_are_removed_get_no_answer() -> None:
    cohort = Cohort(LINEAR, points(4), 0, "stratified", np.full(4, 10), np.zeros(4))
    cohort.leave(np.array([False, True, False, True]))
    rows, columns = cohort.step(4)
    assert rows.tolist() == [0, 2]
    expected = estimate(LINEAR, points(4), 10, seed=0)
    np.testing.assert_array_equal(columns["mean"], expected["mean"][[0, 2]])


@pytest.mark.parametrize("steps", range(8))
def test_rows_may_leave_between_any_two_steps(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictors, "WORKING_SET", 100)
    cohort = Cohort(LINEAR, points(6), 0, "stratified", np.array([40, 40, 50, 50, 60, 60]), np.zeros(6))
    pieces = [cohort.step(2) for _ in range(steps)]
    cohort.leave(cohort.rows % 3 == 0)
    while len(cohort.rows):
        pieces.append(cohort.step(2))
    answer = in_order([piece for piece in pieces if len(piece[0])])
    assert answer["passes"].tolist() == [40, 50, 60, 60]
    monkeypatch.undo()
    for place, row in enumerate([1, 2, 4, 5]):
        alone = estimate(LINEAR, {"x": points(6)["x"][row : row + 1]}, int(answer["passes"][place]), 0)
        np.testing.assert_array_equal(answer["mean"][place], alone["mean"][0])


def test_draws_are_made_once_for_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictors, "WORKING_SET", 100)
    drawn: list[tuple[int, int]] = []
    draw = masks.draw

    def counted(site: Site, seed: int, start: int, stop: int, *rest: Any) -> Any:
        drawn.append((start, stop))
        return draw(site, seed, start, stop, *rest)

    monkeypatch.setattr(cache, "draw", counted)
    runs = []
    some_passes = Predictor.some_passes

    def run_some(self: Predictor, *of: Any) -> Any:
        runs.append(of[3:])
        return some_passes(self, *of)

    monkeypatch.setattr(Predictor, "some_passes", run_some)
    estimate(LINEAR, points(50), 60, seed=11)
    assert len(drawn) == len(set(drawn))
    assert drawn[0][0] == 0
    assert drawn[-1][1] == 60
    assert len(runs) > 10 * len(drawn)


def test_stratified_passes_make_the_mean_of_a_linear_network_more_exact() -> None:
    """At a rate of 0.5, 50 passes keep each unit between 24 and 26 times."""
    inputs = points(30)
    truth = LINEAR.predict(inputs)
    errors = {
        sampler: np.sqrt(
            np.mean(
                [(estimate(LINEAR, inputs, 50, seed, sampler)["mean"] - truth) ** 2 for seed in range(40)]
            )
        )
        for sampler in ("independent", "stratified")
    }
    assert errors["stratified"] < 0.3 * errors["independent"]
