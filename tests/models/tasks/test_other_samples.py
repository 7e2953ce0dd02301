"""What coverage keeps where passes are not made as those of the calibration.

The deviations are those that `benchmarks/quality/samples.py` finds on trained networks, and a little more.
"""

import numpy as np
import pytest
from scipy import stats

from caveat.models.bundles.bundle import Bundle
from caveat.models.draws.masks import Sampler
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from tests.bundles import calibrated, drawn, linear_regression, tabular

ROWS = 1999
FRESH = 2000
COVERAGE = 0.9
SEEDS = range(1, 6)
DEVIATIONS = {2: 0.4, 5: 0.1, 10: 0.05, 25: 0.01, 50: 0.01, 200: 0.01, 1000: 0.01}
"""How much less may be held, as a fraction of the rows, by number of passes."""

CLASSES = calibrated(tabular(), rows=ROWS)
VALUES = calibrated(linear_regression(noise_variance=4.0), rows=ROWS)


def held(bundle: Bundle, samples: int, sampler: Sampler) -> float:
    """Count the fresh rows whose truth is in their region; give the mean over seeds of requests."""
    predictor = Predictor(bundle)
    inputs, truth = drawn(bundle.manifest, FRESH, 7)
    assert predictor.calibration
    counts = []
    for seed in SEEDS:
        columns = estimate(predictor, inputs, samples, seed, sampler)
        region = predictor.calibration.region(columns, COVERAGE)
        if bundle.manifest.classes is not None:
            counts.append(region[np.arange(FRESH), truth].sum())
        else:
            counts.append(((region[:, 0] <= truth) & (truth <= region[:, 1])).sum())
    return float(np.mean(counts))


@pytest.mark.parametrize("sampler", ["stratified", "independent"])
@pytest.mark.parametrize("samples", DEVIATIONS)
@pytest.mark.parametrize("bundle", [CLASSES, VALUES], ids=["classes", "values"])
def test_coverage_of_other_passes_is_off_by_no_more_than_is_said(
    bundle: Bundle, samples: int, sampler: Sampler
) -> None:
    k = int(np.ceil((ROWS + 1) * COVERAGE - 1e-9))
    law = stats.betabinom(FRESH, k, ROWS + 1 - k)
    assert held(bundle, samples, sampler) >= law.ppf(1e-4) - DEVIATIONS[samples] * FRESH


def test_intervals_of_two_independent_passes_hold_far_less() -> None:
    assert held(VALUES, 2, "independent") < 0.7 * FRESH
    assert held(VALUES, 100, "stratified") > 0.87 * FRESH
