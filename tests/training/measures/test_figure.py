import numpy as np
import pytest

from caveat.training.measures.figure import averaged, resampled


def test_the_resampled_error_of_a_mean_equals_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(0, 3, 500)
    assert resampled(np.mean, values).error == pytest.approx(averaged(values).error, rel=0.4)
    assert averaged(values).error == pytest.approx(3 / np.sqrt(500), rel=0.1)


def test_figures_by_hand() -> None:
    found = averaged(np.array([True, True, False, True]))
    assert found.value == 0.75
    assert found.error == pytest.approx(np.sqrt(3 / 16 / 3))
    assert averaged(np.full(4, True)).error == 0


def test_a_single_row_has_no_error() -> None:
    assert np.isnan(averaged(np.ones(1)).error)
    found = resampled(np.mean, np.ones(1))
    assert found.value == 1
    assert np.isnan(found.error)


def test_resamples_on_which_a_measure_is_not_defined_do_not_count() -> None:
    measure = lambda values: float(values.mean()) if values.any() else float("nan")  # noqa: E731
    assert resampled(measure, np.array([0.0, 1.0])).error > 0
    assert np.isnan(resampled(measure, np.zeros(2)).error)
