"""The exact laws of masks, from all that their random bits can be, and the streams of these bits."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caveat.models.draws import keeping
from caveat.models.draws.keeping import independent, patterns, unfolded
from caveat.models.draws.pieces import PIECE, in_pieces
from caveat.models.draws.strata import BLOCK
from caveat.models.draws.stream import BYTES, LONG_WORDS, WORDS, Stream

RATES = [1e-12, 0.003, 0.1, 0.2, 1 / 3, 0.5, 0.77, 0.96, 1 - 1e-9]


@pytest.mark.parametrize("rate", RATES)
def test_a_pattern_keeps_passes_and_pairs_of_them_as_a_random_permutation_would(
    rate: float,
) -> None:
    by_choice, edge = keeping._patterns_by_choice(rate)
    bits = (by_choice[:, None] >> np.arange(BLOCK, dtype=np.uint32) & 1).astype(np.int64)
    unsure = Fraction(int(edge), 2**32)
    weights = np.tile([1 - float(unsure), float(unsure)], len(bits) // 2) / (len(bits) // 2)
    np.testing.assert_allclose(weights @ bits, 1 - rate, rtol=0, atol=1e-10)
    pairs = bits.T @ (weights[:, None] * bits)
    sure, part = divmod((1 - rate) * BLOCK, 1)
    both = (sure * (sure - 1) + 2 * sure * part) / (BLOCK * (BLOCK - 1))  # of two strata, not the same
    np.testing.assert_allclose(pairs[~np.eye(BLOCK, dtype=bool)], both, rtol=0, atol=1e-10)


@pytest.mark.parametrize("rate", RATES)
def test_further_bits_settle_what_eight_leave_open(rate: float) -> None:
    """Of the bytes that settle nothing, as many keep their unit as the rate needs."""
    passes, units = 400, 2000
    kept = independent("s", rate, units, 0, passes).astype(bool)
    random = Stream("s").lines(BYTES, units, 0, passes, slice(0, units))
    first, rest = divmod((1 - rate) * 256, 1)
    assert kept[random < int(first)].all()
    assert not kept[random > int(first)].any()
    open_ones = kept[random == int(first)]
    spread = np.sqrt(rest * (1 - rest) / len(open_ones)) + 1e-9
    assert abs(open_ones.mean() - rest) < 5 * spread


@given(
    rate=st.floats(1e-6, 1 - 1e-6),
    units=st.integers(1, 3 * PIECE),
    start=st.integers(0, 10**7),
    count=st.integers(1, 3),
    threads=st.integers(1, 4),
)
@settings(max_examples=30, deadline=None)
def test_neither_pieces_nor_threads_change_a_mask(
    rate: float, units: int, start: int, count: int, threads: int
) -> None:
    whole = independent("s", rate, units, start, start + count, threads)
    first, last = start // BLOCK, -(-(start + count) // BLOCK)
    even = unfolded(patterns("s", rate, units, first, last, threads), first, start, start + count, threads)
    for number in range(count):
        at = start + number
        np.testing.assert_array_equal(independent("s", rate, units, at, at + 1)[0], whole[number])
        block = at // BLOCK
        one = unfolded(patterns("s", rate, units, block, block + 1), block, at, at + 1)
        np.testing.assert_array_equal(one[0], even[number])


def test_large_work_is_shared_by_the_threads() -> None:
    done = np.zeros(40 * PIECE + 5, int)

    def work(part: slice) -> None:
        done[part] += 1

    in_pieces(work, len(done), threads=3)
    assert (done == 1).all()


def test_a_failure_in_a_thread_is_raised() -> None:
    def work(part: slice) -> None:
        raise ZeroDivisionError(part)

    with pytest.raises(ZeroDivisionError):
        in_pieces(work, 40 * PIECE, threads=2)


@pytest.mark.parametrize("kind", [BYTES, WORDS, LONG_WORDS], ids=str)
def test_a_stream_is_that_of_philox_read_from_any_place(kind: np.dtype[Any]) -> None:
    width, size = 75, kind.itemsize
    steps = -(-width * size // 32)
    stream = Stream("any")
    lines = stream.lines(kind, width, 2, 6, slice(0, width))
    philox = np.random.Philox(key=int.from_bytes(stream._key.tobytes(), "little"), counter=2 * steps)
    expected: np.ndarray = philox.random_raw(4 * steps * 4).astype("<u8").view(kind).reshape(4, -1)[:, :width]
    np.testing.assert_array_equal(lines, expected)
    np.testing.assert_array_equal(stream.lines(kind, width, 3, 5, slice(32, 60)), lines[1:3, 32:60])
    np.testing.assert_array_equal(stream.lines(kind, width, 5, 6, slice(64, width)), lines[3:, 64:])
