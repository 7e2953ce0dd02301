import numpy as np
import pytest

from caveat.training.measures.separation import auroc, separation


def test_separation_equals_a_count_of_pairs() -> None:
    generator = np.random.default_rng(1)
    inside, outside = generator.normal(0, 1, 300), generator.normal(1, 1, 200)
    found = separation(inside, outside)
    assert found["AUROC"].value == pytest.approx((outside[:, None] > inside).mean())
    assert found["AUROC"].error == pytest.approx(0.02, abs=0.01)
    assert found["FPR95"].value == pytest.approx((outside <= np.quantile(inside, 0.95)).mean(), abs=0.02)


@pytest.mark.parametrize(
    ("inside", "outside", "area", "accepted"),
    [
        ([0.0, 0.0], [0.0, 0.0, 0.0], 0.5, 1.0),  # all saturated
        ([0.0, 0.0], [1.0], 1.0, 0.0),
        ([1.0, 1.0], [0.0], 0.0, 1.0),
        ([0.0, 1.0], [1.0, 1.0], 0.75, 1.0),  # of four pairs, two are in order and two are tied
        ([1e-12], [1e-9], 1.0, 0.0),
        ([2.0], [2.0], 0.5, 1.0),
        ([*range(20)], [18, 18.5, 19, 30], (18.5 + 19 + 19.5 + 20) / 80, 0.25),  # 19 of 20 are at most 18
        ([*range(19)], [17, 18, 19], (17.5 + 18.5 + 19) / 57, 2 / 3),  # of 19 rows, 95 % are all of them
    ],
)
def test_separation_by_hand(inside: list[float], outside: list[float], area: float, accepted: float) -> None:
    found = separation(np.array(inside, np.float64), np.array(outside, np.float64))
    assert found["AUROC"].value == pytest.approx(area)
    assert found["FPR95"].value == pytest.approx(accepted)


def test_one_kind_of_rows_has_no_area() -> None:
    assert np.isnan(auroc(np.arange(3.0), np.ones(3, bool)))
    assert np.isnan(auroc(np.arange(3.0), np.zeros(3, bool)))
    assert np.isnan(separation(np.arange(3.0), np.array([]))["FPR95"].value)
