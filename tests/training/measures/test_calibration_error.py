import numpy as np
import pytest

from caveat.training.measures.calibration_error import adaptive_ece, binned, ece


def of_label(confidence: list[float]) -> np.ndarray:
    """Give probabilities of two classes, of which the first is the label."""
    return np.column_stack([confidence, 1 - np.array(confidence)])


@pytest.mark.parametrize(
    ("confidence", "wrong", "expected"),
    [
        ([0.95, 1.0], [False, True], 0.475),  # one bin: |0.95 + 1 - 1| / 2
        ([1.0], [False], 0.0),
        ([1.0], [True], 1.0),
        ([1.0, 1.0, 1.0, 1.0], [True, False, False, False], 0.25),
        ([0.95, 1 - 1e-9], [False, True], 0.475),  # float32 rounds 1 - 1e-9 to 1
        ([0.6, 0.8], [True, False], 0.4),  # two bins: (0.6 + 0.2) / 2
        ([0.7, 0.73], [True, False], 0.215),  # one bin, over 2/3 to 11/15: |1.43 - 1| / 2
        ([0.75, 0.8], [True, False], 0.275),  # one bin, over 11/15 to 12/15, whose upper edge belongs to it
        ([0.8, 0.81], [True, False], 0.495),  # two bins: (0.8 + 0.19) / 2
    ],
)
def test_ece_by_hand(confidence: list[float], wrong: list[bool], expected: float) -> None:
    y = np.array(wrong).astype(int)
    assert ece(of_label(confidence), y) == pytest.approx(expected)
    assert ece(of_label(confidence).astype(np.float32), y) == pytest.approx(expected, abs=1e-6)


def test_the_label_of_equal_probabilities_is_the_first() -> None:
    half = np.full((2, 2), 0.5)
    assert ece(half, np.array([0, 0])) == 0.5
    assert ece(half, np.array([1, 1])) == 0.5
    assert ece(half, np.array([0, 1])) == 0.0
    fourth = np.full((2, 4), 0.25)  # two classes have no row
    assert ece(fourth, np.array([0, 3])) == 0.25


def test_a_bin_holds_its_upper_edge() -> None:
    edges = np.arange(1, 16) / 15
    for confidence in (edges, edges.astype(np.float32).astype(np.float64), edges + 1e-15):
        assert binned(confidence, np.ones(15, bool)).rows.tolist() == [1] * 15
    just_above = np.nextafter(edges[:-1].astype(np.float32), np.float32(1))
    assert binned(just_above.astype(np.float64), np.ones(14, bool)).rows.tolist() == [0] + [1] * 14


@pytest.mark.parametrize(
    ("confidence", "wrong", "expected"),
    [
        ([0.9] * 30, [True] * 6 + [False] * 24, 0.1),  # every bin holds 2 rows, of which 0.8 are right
        ([0.9] * 4, [True, False, False, False], 0.15),  # four bins of one row, 0.75 right in each
        ([1.0] * 16, [True] + [False] * 15, 1 / 16),
        ([0.6, 0.8], [True, False], 0.4),  # a bin a row
        ([1.0], [True], 1.0),
        ([1.0] * 5, [False] * 5, 0.0),
        ([0.8] * 2 + [1.0] * 28, [True] + [False] * 29, 2 * 0.3 / 30),  # the first of 15 bins has a gap
        ([0.8] + [1.0] * 29, [False] * 30, 0.2 / 30),  # the first bin holds 0.8 and one 1.0
    ],
)
def test_adaptive_ece_by_hand_in_any_order_of_the_rows(
    confidence: list[float], wrong: list[bool], expected: float
) -> None:
    rows = len(wrong)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(rows) if seed else np.arange(rows)[::-1]
        found = adaptive_ece(np.array(confidence)[order], np.array(wrong)[order])
        assert found == pytest.approx(expected)


def test_rounding_of_a_probability_does_not_break_a_tie() -> None:
    confidence = np.repeat([0.6, np.nextafter(0.6, 1)], 15)
    assert adaptive_ece(confidence, np.arange(30) >= 18) == pytest.approx(0.0)
