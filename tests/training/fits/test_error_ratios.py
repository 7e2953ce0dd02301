import numpy as np
import pytest

from caveat.models.estimates.answer import estimate
from caveat.models.estimates.errors import relative_error
from caveat.models.predictor import Predictor
from caveat.training.fits.error_ratios import error_ratios
from tests.bundles import drawn, linear_regression, linear_targets, softmax_classifier


@pytest.mark.parametrize(("rate", "exact"), [(0.2, True), (0.5, False)])
def test_a_linear_network_has_hardly_any_error_where_its_rate_divides_a_block(
    rate: float, exact: bool
) -> None:
    """At 0.2 each unit is kept in exactly 20 of 25 passes; at 0.5 in 12 or 13, a variance of 1/4 for 25/4."""
    bundle = linear_regression(rate=rate)
    inputs, _ = drawn(bundle.manifest, 40, 0)
    found = error_ratios(Predictor(bundle), inputs, several=False)
    assert found.ratios[0] == pytest.approx(0.0 if exact else 0.2, abs=1e-3 if exact else 0.06)
    assert list(found.ratios) == sorted(found.ratios)


def test_every_target_is_measured_in_its_own_units() -> None:
    bundle = linear_targets()
    inputs, _ = drawn(bundle.manifest, 60, 0)
    found = error_ratios(Predictor(bundle), inputs, several=True)
    assert isinstance(found.greatest, tuple)
    variance = estimate(Predictor(bundle), inputs, 1000)["epistemic_variance"]
    np.testing.assert_allclose(found.greatest, variance.max(axis=0), rtol=0.2)
    assert found.ratios[0] < 0.3


def test_the_bound_is_above_the_ratio_of_fresh_rows() -> None:
    bundle = softmax_classifier(classes=4, spread=2.0, rate=0.5)
    predictor = Predictor(bundle)
    inputs, fresh = (np.random.default_rng(seed).normal(size=(60, 3)).astype(np.float32) for seed in (0, 1))
    found = error_ratios(predictor, {"x": inputs}, several=False)
    answers = [estimate(predictor, fresh, 25, 100 + seed) for seed in range(400)]
    means = np.stack([answer["mean"] for answer in answers]).astype(np.float64)
    between = means.var(axis=0, ddof=1)
    total = between + 24 / 25 * np.mean([answer["variance"] for answer in answers], axis=0, dtype=np.float64)
    place = np.floor(np.log2(found.greatest / total)).clip(0, 8).astype(int)
    for group in range(8):
        of = place == group
        if of.sum() > 20:
            true = np.sqrt(25 * between[of].sum() / total[of].sum())
            assert 0.97 * true < found.ratios[group], group
    ratios = np.array([*found.ratios, 1.0])[place]
    assert np.sqrt((ratios**2 * total).sum() / (25 * between).sum()) < 1.3


def test_a_network_whose_passes_agree_has_no_smaller_error() -> None:
    bundle = linear_regression()
    found = error_ratios(Predictor(bundle), {"x": np.zeros((20, 3), np.float32)}, several=False)
    assert set(found.ratios) == {1.0}
    assert found.greatest == 0
    assert relative_error(100, found.ratios[0]) == 1
