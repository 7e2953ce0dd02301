import numpy as np
import pytest
from scipy import stats

from caveat.models.bundles.bundle import Bundle, BundleError, pack
from caveat.models.errors import InputError
from caveat.models.estimates.cohort import estimate
from caveat.models.predictor import Predictor
from caveat.models.tasks import calibration_file, tasks
from caveat.models.tasks.decisions import Decisions
from caveat.models.tasks.task import TRUTH
from tests.bundles import calibrated, calibrated_on, drawn, linear_regression, linear_targets, tabular

LINEAR = calibrated(linear_regression(noise_variance=4.0), rows=199)
PAIR = calibrated(linear_targets((4.0, 2500.0)), rows=199)
TABULAR = calibrated(tabular(), rows=400)


def check(decisions: Decisions, predictor: Predictor) -> None:
    predictor.task.check_decisions(decisions, predictor.calibration)


def answers(predictor: Predictor, rows: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw fresh rows and answer them; give the answers and the rows' truths."""
    inputs, truth = drawn(predictor.manifest, rows, seed)
    return dict(estimate(predictor, inputs, 100, 0)), truth


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95, 0.99])
def test_intervals_hold_the_truth_at_the_asked_rate(coverage: float) -> None:
    predictor = Predictor(LINEAR)
    columns, truth = answers(predictor, 2000, seed=7)
    assert predictor.calibration
    low, high = predictor.calibration.region(columns, coverage).T
    held = int(((low <= truth) & (truth <= high)).sum())
    k = int(np.ceil(200 * coverage - 1e-9))
    law = stats.betabinom(2000, k, 200 - k)
    assert law.ppf(1e-4) <= held <= law.ppf(1 - 1e-4)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_the_interval_of_every_target_holds_its_truth(coverage: float) -> None:
    predictor = Predictor(PAIR)
    columns, truth = answers(predictor, 2000, seed=7)
    assert predictor.calibration
    interval = predictor.calibration.region(columns, coverage)
    held = ((interval[..., 0] <= truth) & (truth <= interval[..., 1])).sum(axis=0)
    k = int(np.ceil(200 * coverage - 1e-9))
    law = stats.betabinom(2000, k, 200 - k)
    assert ((law.ppf(1e-4) <= held) & (held <= law.ppf(1 - 1e-4))).all()


def test_each_of_several_targets_is_calibrated_as_if_alone() -> None:
    columns, _ = answers(Predictor(PAIR), 300, seed=8)
    inputs, truth = drawn(PAIR.manifest, 199, 1)
    known = estimate(Predictor(PAIR), inputs, 100, 0)
    together = Predictor(PAIR).calibration
    assert together
    tolerances = (5.0, 200.0)
    withheld = together.abstain(columns, 0.3, tolerances)
    assert (withheld.mean(axis=0) > 0).all()
    for k, tolerance in enumerate(tolerances):
        single = calibrated(linear_regression()).manifest
        arrays = {name: column[:, k] for name, column in known.items() if name != "passes"}
        alone = tasks.of(single).calibration({TRUTH: truth[:, k], **arrays})
        own = {name: column[:, k] for name, column in columns.items() if name != "passes"}
        np.testing.assert_array_equal(columns["percentile"][:, k], alone.columns(own)["percentile"])
        np.testing.assert_array_equal(together.region(columns, 0.9)[:, k], alone.region(own, 0.9))
        np.testing.assert_array_equal(withheld[:, k], alone.abstain(own, 0.3, tolerance))


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.99])
def test_sets_hold_the_truth_at_the_asked_rate(coverage: float) -> None:
    predictor = Predictor(TABULAR)
    columns, truth = answers(predictor, 2000, seed=7)
    assert predictor.calibration
    held = predictor.calibration.region(columns, coverage)
    k = int(np.ceil(401 * coverage - 1e-9))
    law = stats.betabinom(2000, k, 401 - k)
    found = int(held[np.arange(2000), truth].sum())
    assert law.ppf(1e-4) <= found <= law.ppf(1 - 1e-4)


@pytest.mark.parametrize("bundle", [LINEAR, TABULAR])
def test_percentiles_of_fresh_rows_are_uniform(bundle: Bundle) -> None:
    predictor = Predictor(bundle)
    columns, _ = answers(predictor, 2000, seed=8)
    assert predictor.calibration
    found = predictor.calibration.columns(columns)["percentile"]
    assert 0 < found.min() < found.max() < 100
    # The calibration rows are a sample too, so this is a test of two samples.
    uniform = np.arange(1, predictor.calibration.facts.rows + 1) / (predictor.calibration.facts.rows + 1)
    assert stats.ks_2samp(found / 100, uniform).pvalue > 1e-4


def test_the_most_uncertain_answers_are_withheld() -> None:
    predictor = Predictor(TABULAR)
    columns, truth = answers(predictor, 2000, seed=9)
    assert predictor.calibration
    withheld = predictor.calibration.abstain(columns, 0.3, None)
    assert 0 < withheld.mean() < 1
    uncertainty = columns["predictive_entropy"]
    assert uncertainty[~withheld].max() <= uncertainty[withheld].min()
    assert (columns["label"] != truth)[~withheld].mean() < 0.33


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        (
            Decisions(coverage=0.999),
            "coverage: expected at most 0.997506, which 400 calibration rows support",
        ),
        (Decisions(max_error=0.0001), "max_error: expected at least 0"),
        (Decisions(quantiles=(0.5,)), "quantiles: expected none"),
        (Decisions(max_error=0.4, error_tolerance=1.0), "error_tolerance: expected none"),
        (Decisions(error_tolerance=1.0), "max_error: expected a rate"),
    ],
)
def test_rates_beyond_the_calibration_rows_are_refused_with_the_limit(
    decisions: Decisions, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        check(decisions, Predictor(TABULAR))
    assert str(refused.value).startswith(message)


def test_a_regression_needs_an_error_tolerance() -> None:
    predictor = Predictor(LINEAR)
    with pytest.raises(InputError, match="error_tolerance: expected the error above which"):
        check(Decisions(max_error=0.1), predictor)
    check(Decisions(max_error=0.1, error_tolerance=100.0), predictor)


def test_every_target_has_a_tolerance_of_its_own() -> None:
    def refusal(bundle: Bundle, tolerance: float | tuple[float, ...]) -> str:
        with pytest.raises(InputError) as refused:
            check(Decisions(max_error=0.3, error_tolerance=tolerance), Predictor(bundle))
        return str(refused.value)

    assert refusal(PAIR, 1.0) == "error_tolerance: expected 2 numbers, for small, large, got one"
    assert refusal(PAIR, (1.0,)).endswith("for small, large, got 1 numbers")
    assert refusal(LINEAR, (9.0,)) == "error_tolerance: expected a number, got 1 numbers"
    assert refusal(PAIR, (100.0, 0.0)).startswith("max_error: expected at least 1, the lowest rate")
    check(Decisions(max_error=0.3, error_tolerance=(100.0, 5000.0)), Predictor(PAIR))


def test_without_calibration_guarantees_are_refused() -> None:
    bare = Predictor(linear_regression())
    for decisions in (Decisions(coverage=0.9), Decisions(max_error=0.1, error_tolerance=1.0)):
        with pytest.raises(InputError, match="this model has no calibration"):
            check(decisions, bare)
    columns, _ = answers(bare, 3, seed=0)
    assert not bare.task.decide(Decisions(), columns, None)


@pytest.mark.parametrize("content", [b"", b"PK", calibration_file.write(np.zeros(3), {})])
def test_a_file_that_is_not_arrays_of_a_calibration_is_refused(content: bytes) -> None:
    broken = pack(LINEAR.manifest, {**LINEAR.files, calibration_file.FILE: content})
    with pytest.raises(BundleError, match=r"linear/1/calibration.npz: not the arrays of a calibration"):
        Predictor(broken)


def test_rows_without_variance_count_as_sure_if_they_are_right_and_as_missed_if_they_are_wrong() -> None:
    bare = linear_regression(noise_variance=0.0)
    inputs, truth = drawn(bare.manifest, 199, 1)
    inputs["x"][:30] = 0  # where all passes agree, on 0.5
    right = Predictor(calibrated_on(bare, inputs, np.where(np.arange(199) < 30, 0.5, truth)))
    wrong = Predictor(calibrated_on(bare, inputs, np.where(np.arange(199) < 30, 1.5, truth)))
    columns = estimate(right, [[1, 2, 3], [0, 0, 0]], 100, 0)
    check(Decisions(coverage=0.99), right)
    assert right.calibration
    low, high = right.calibration.region(columns, 0.99).T
    assert np.isfinite([low, high]).all()
    assert low[1] == high[1] == 0.5
    check(Decisions(coverage=0.8), wrong)
    with pytest.raises(InputError, match="coverage: expected a lower rate: some calibration rows are wrong"):
        check(Decisions(coverage=0.9), wrong)
