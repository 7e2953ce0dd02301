from typing import Any

import numpy as np
import pytest
from scipy import stats

from caveat.models.bundles.bundle import Bundle, BundleError, pack
from caveat.models.errors import InputError
from caveat.models.estimates.answer import estimate, notes
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.models.tasks import calibration_file, tasks
from caveat.models.tasks.decisions import Decisions
from caveat.models.tasks.facts import ErrorRatios
from caveat.models.tasks.task import TRUTH
from tests.bundles import (
    calibrated,
    calibrated_on,
    drawn,
    linear_regression,
    linear_targets,
    softmax_classifier,
    tabular,
)

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
    withheld = together.abstain(columns, 0.25, tolerances)
    assert (withheld.mean(axis=0) > 0).all()
    for k, tolerance in enumerate(tolerances):
        single = calibrated(linear_regression()).manifest
        arrays = {name: column[:, k] for name, column in known.items() if name != "passes"}
        alone = tasks.of(single).calibration({TRUTH: truth[:, k], **arrays})
        own = {name: column[:, k] for name, column in columns.items() if name != "passes"}
        np.testing.assert_array_equal(columns["percentile"][:, k], alone.columns(own)["percentile"])
        np.testing.assert_array_equal(together.region(columns, 0.9)[:, k], alone.region(own, 0.9))
        np.testing.assert_array_equal(withheld[:, k], alone.abstain(own, 0.25, tolerance))


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
    withheld = predictor.calibration.abstain(columns, 0.15, None)
    assert 0 < withheld.mean() < 1
    uncertainty = columns["predictive_entropy"]
    assert uncertainty[~withheld].max() <= uncertainty[withheld].min()
    assert (columns["label"] != truth)[~withheld].mean() < 0.18


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


def test_rows_without_variance_count_as_sure_if_they_are_right() -> None:
    bare = linear_regression(noise_variance=0.0)
    inputs, truth = drawn(bare.manifest, 199, 1)
    inputs["x"][:30] = 0  # where all passes agree, on 0.5
    right = Predictor(calibrated_on(bare, inputs, np.where(np.arange(199) < 30, 0.5, truth)))
    columns = estimate(right, [[1, 2, 3], [0, 0, 0]], 100, 0)
    check(Decisions(coverage=0.99), right)
    assert right.calibration
    low, high = right.calibration.region(columns, 0.99).T
    assert np.isfinite([low, high]).all()
    assert low[1] == high[1] == 0.5


def test_a_row_that_is_wrong_without_variance_makes_no_calibration() -> None:
    bare = linear_regression(noise_variance=0.0)
    inputs, truth = drawn(bare.manifest, 199, 1)
    inputs["x"][7] = 0
    with pytest.raises(BundleError, match="row 7 is wrong by 1 and has a variance of 0"):
        Predictor(calibrated_on(bare, inputs, np.where(np.arange(199) == 7, 1.5, truth)))


def confident(
    rows: int, classes: int = 3, spread: float = 3.0, rate: float = 0.1
) -> tuple[Bundle, np.ndarray, np.ndarray]:
    """Make a classifier whose rows are mostly sure, with rows and truths of just these probabilities."""
    random = np.random.default_rng(5)
    bundle = softmax_classifier(classes, spread, rate)
    x = random.normal(0, 1, (rows, 3)).astype(np.float32)
    p = np.asarray(estimate(Predictor(bundle), x, 100, 0)["mean"])
    return bundle, x, (random.random((rows, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("sets", ["lac", "aps", "raps"])
@pytest.mark.parametrize("by_class", [False, True])
def test_every_set_has_the_label_and_holds_the_truth_at_least_at_the_asked_rate(
    sets: str, by_class: bool
) -> None:
    bundle, x, y = confident(2400)
    facts: dict[str, Any] = {"sets": sets, "by_class": by_class, "temperature": 1.0}
    predictor = Predictor(calibrated_on(bundle, {"x": x[:400]}, y[:400], **facts))
    columns = estimate(predictor, x[400:], 100, 0)
    assert predictor.calibration
    for coverage in (0.5, 0.8, 0.9):
        held = predictor.calibration.region(columns, coverage)
        assert held[np.arange(2000), columns["label"]].all()
        for rows in [y[:400] == code for code in range(3)] if by_class else [y[:400] >= 0]:
            n = int(rows.sum())
            of = np.isin(y[400:], np.unique(y[:400][rows]))
            k = int(np.ceil((n + 1) * coverage - 1e-9))
            found = held[np.arange(2000), y[400:]][of].sum()
            assert found >= stats.betabinom(int(of.sum()), k, n + 1 - k).ppf(1e-4)


@pytest.mark.parametrize("sets", ["aps", "raps"])
def test_sure_rows_get_small_sets(sets: str) -> None:
    """Without randomisation the surest rows have no room in their sets, and the others too much."""
    bundle, x, y = confident(2400, classes=8, spread=8.0, rate=0.002)
    predictor = Predictor(calibrated_on(bundle, {"x": x[:400]}, y[:400], sets=sets, temperature=1.0))
    columns = estimate(predictor, x[400:], 100, 0)
    assert predictor.calibration
    held = predictor.calibration.region(columns, 0.9)
    sure = columns["mean"].max(axis=1) > 0.99
    assert sure.sum() > 100
    assert (held[sure].sum(axis=1) == 1).mean() > 0.97
    lac = Predictor(calibrated_on(bundle, {"x": x[:400]}, y[:400], sets="lac", temperature=1.0)).calibration
    assert lac
    assert held.sum() < 1.5 * lac.region(columns, 0.9).sum()


@pytest.mark.parametrize("sets", ["lac", "aps", "raps"])
def test_classes_that_are_as_probable_as_the_label_are_in_its_set(sets: str) -> None:
    bundle = softmax_classifier(classes=3, spread=0.0)  # of equal probability, for any row
    x = np.zeros((60, 3), np.float32)
    sure = calibrated_on(
        softmax_classifier(classes=3, spread=9.0), {"x": x + 1}, np.zeros(60, int), sets=sets
    )
    facts = sure.manifest.model_copy(update={"files": {}})
    files = {**bundle.files, calibration_file.FILE: sure.files[calibration_file.FILE]}
    predictor = Predictor(pack(facts, files))
    assert predictor.calibration
    assert predictor.calibration.region(estimate(predictor, x), 0.5).all()


def test_a_truth_that_is_not_a_number_makes_no_calibration() -> None:
    bare = linear_regression()
    inputs, truth = drawn(bare.manifest, 60, 1)
    arrays = {TRUTH: truth, **estimate(Predictor(bare), inputs)}
    arrays[TRUTH][7] = np.nan
    task = tasks.of(calibrated_on(bare, inputs, truth).manifest)
    with pytest.raises(ValueError, match="row 7 is wrong by nan"):
        task.calibration(arrays)


@pytest.mark.parametrize(
    ("bundle", "facts", "message"),
    [
        (LINEAR, {"error_ratios": ErrorRatios(greatest=(1.0, 2.0), ratios=(0.5,))}, "one greatest variance"),
        (PAIR, {"error_ratios": ErrorRatios(greatest=1.0, ratios=(0.5,))}, "one for each of several targets"),
        (PAIR, {"error_ratios": ErrorRatios(greatest=(1.0,), ratios=(0.5,))}, "one for each of several"),
        (TABULAR, {"error_ratios": ErrorRatios(greatest=(1.0, 1.0), ratios=(0.5,))}, "one greatest variance"),
        (TABULAR, {"temperature": None}, "sets and two temperatures"),
        (TABULAR, {"deterministic_temperature": None}, "sets and two temperatures"),
        (TABULAR, {"sets": None}, "sets and two temperatures"),
        (LINEAR, {"sets": "lac"}, "a regression has no sets"),
    ],
)
def test_facts_that_do_not_fit_the_model_are_refused(
    bundle: Bundle, facts: dict[str, Any], message: str
) -> None:
    assert bundle.manifest.calibration
    other = bundle.manifest.calibration.model_copy(update=facts)
    stated = bundle.manifest.model_copy(update={"calibration": other})
    with pytest.raises(ValueError, match=message):
        tasks.of(stated).check()


def test_ratios_of_errors_do_not_fall_with_the_variance() -> None:
    with pytest.raises(ValueError, match="a ratio is below that of a greater variance"):
        ErrorRatios(greatest=1.0, ratios=(0.8, 0.5))


def test_a_set_depends_on_the_row_and_not_on_the_seed_of_the_request() -> None:
    bundle, x, y = confident(900)
    predictor = Predictor(calibrated_on(bundle, {"x": x[:400]}, y[:400], sets="aps", temperature=1.0))
    first, second = (estimate(predictor, x[400:], 100, seed)["chance"] for seed in (0, 1))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("sets", ["lac", "aps", "raps"])
def test_a_low_credibility_says_that_no_class_fits(sets: str) -> None:
    """The README's digits: a row between the classes, where all others are sure."""
    bundle, x, y = confident(400, spread=9.0)
    predictor = Predictor(calibrated_on(bundle, {"x": x}, y, sets=sets, temperature=1.0))
    columns = estimate(predictor, np.concatenate([np.zeros((1, 3), np.float32), x]), 100, 0)
    credibility = columns["credibility"]
    p = columns["probabilities"].astype(np.float64)
    known = p[1:][np.arange(400), y]
    expected = [(1 + (known <= row.max() + 1e-12).sum()) / 401 for row in p]
    np.testing.assert_allclose(credibility, expected, atol=1 / 401)
    assert credibility[0] < 0.1
    assert credibility.max() == 1


def test_credibility_by_class_is_among_the_rows_of_the_class() -> None:
    bundle, x, y = confident(400)
    y = np.where(y == 2, 1, y)
    y[:3] = 2  # a class of three rows
    facts: dict[str, Any] = {"sets": "lac", "temperature": 1.0, "by_class": True}
    predictor = Predictor(calibrated_on(bundle, {"x": x}, y, **facts))
    columns = estimate(predictor, x, 100, 0)
    p, label = columns["probabilities"].astype(np.float64), columns["label"]
    for row in range(0, 400, 7):
        of = y == label[row]
        found = (1 + (p[of, label[row]] <= p[row].max() + 1e-12).sum()) / (1 + of.sum())
        assert columns["credibility"][row] == pytest.approx(found, abs=1.01 / (1 + of.sum()))
    assert columns["credibility"][label == 2].min() >= 0.25


def test_a_rare_class_is_in_every_set_and_the_others_keep_their_rate() -> None:
    bundle, x, y = confident(2400)
    known = y[:400].copy()
    known[known == 2] = 0
    known[:9] = 2  # nine rows support 90 %, and no more
    facts: dict[str, Any] = {"sets": "lac", "temperature": 1.0, "by_class": True}
    predictor = Predictor(calibrated_on(bundle, {"x": x[:400]}, known, **facts))
    columns = estimate(predictor, x[400:], 100, 0)
    assert predictor.calibration
    for coverage, all_of_them in ((0.9, False), (0.95, True)):
        check(Decisions(coverage=coverage), predictor)
        held = predictor.calibration.region(columns, coverage)
        assert held[:, 2].all() == all_of_them
        assert not held[:, :2].all()
        said = predictor.task.notes(Decisions(coverage=coverage), predictor.calibration)
        assert ("prediction_set" in said) == all_of_them
        if said:
            assert "2 (9)" in said["prediction_set"]
    most = max((known == code).sum() for code in range(3))
    check(Decisions(coverage=most / (most + 1)), predictor)
    with pytest.raises(InputError, match=f"coverage: expected at most .*, which {most} calibration rows"):
        check(Decisions(coverage=most / (most + 1) + 1e-6), predictor)


def test_a_class_without_any_row_is_in_every_set() -> None:
    bundle, x, y = confident(400)
    facts: dict[str, Any] = {"sets": "aps", "temperature": 1.0, "by_class": True}
    predictor = Predictor(calibrated_on(bundle, {"x": x}, np.minimum(y, 1), **facts))
    columns = estimate(predictor, x, 100, 0)
    assert predictor.calibration
    assert predictor.calibration.region(columns, 0.8)[:, 2].all()
    assert (columns["credibility"][columns["label"] == 2] == 1).all()


@pytest.mark.parametrize("bundle", [LINEAR, PAIR, TABULAR])
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, True),
        ({"seed": 9}, True),
        ({"samples": 50}, False),
        ({"samples": 101}, False),
        ({"sampler": "independent"}, False),
        ({"tolerance": 1e-9}, False),
    ],
)
def test_a_percentile_is_told_only_of_passes_that_are_made_as_the_calibrations(
    bundle: Bundle, asked: dict[str, Any], told: bool
) -> None:
    predictor = Predictor(bundle)
    inputs, _ = drawn(bundle.manifest, 5, 3)
    assert ("percentile" in estimate(predictor, inputs, **asked)) == told
    said = notes(predictor, Asked(**{"samples": 100, "seed": 0, **asked}))
    assert ("percentile" in said) != told


def test_passes_that_are_too_few_for_a_promise_are_noted() -> None:
    both = Decisions(coverage=0.9, max_error=0.4)
    for samples, few in ((2, True), (24, True), (25, False), (99, False), (100, False)):
        said = notes(Predictor(TABULAR), Asked(samples, 0, decisions=both))
        assert ({"prediction_set", "abstain"} <= said.keys()) == few
    assert said == {}
    said = notes(Predictor(TABULAR), Asked(24, 0))
    assert said.keys() == {"percentile"}
