import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caveat.models.bundles.manifest import Site
from caveat.models.draws.masks import draw
from caveat.models.draws.strata import BLOCK, affine_maps, spread


def words(passes: int, units: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2**32, size=(passes, units), dtype=np.uint32)


def site(rate: float, units: int = 1000) -> Site:
    return Site(name="drop", kind="dropout", rate=rate, shape=("passes", 1, units))


def test_every_two_passes_meet_every_two_strata_equally_often() -> None:
    """So means, variances and covariances are those of a permutation drawn from all permutations."""
    maps = affine_maps()
    assert maps.shape == (600, BLOCK)
    for one, other in itertools.permutations(range(BLOCK), 2):
        pairs = Counter(zip(maps[:, one].tolist(), maps[:, other].tolist(), strict=True))
        assert len(pairs) == 600
        assert all(first != second for first, second in pairs)


def test_a_block_has_one_number_in_each_stratum() -> None:
    even = spread(words(4 * BLOCK, 300), words(4, 300, seed=1), first=0)
    strata = np.sort((even.reshape(4, BLOCK, 300) / 2**32 * BLOCK).astype(int), axis=1)
    assert (strata == np.arange(BLOCK)[:, None]).all()


def test_each_number_is_uniform_by_itself() -> None:
    even = spread(words(1, 200_000), words(1, 200_000, seed=1), first=0)
    counts = np.histogram(even, bins=100, range=(0, 2**32))[0]
    chi_square = ((counts - 2000) ** 2 / 2000).sum()
    assert chi_square < 99 + 5.5 * np.sqrt(2 * 99)


@given(first=st.integers(0, 200), count=st.integers(1, 90))
@settings(deadline=None)
def test_a_pass_does_not_depend_on_where_a_chunk_begins(first: int, count: int) -> None:
    whole = draw(site(0.3, 20), 5, 0, first + count, sampler="stratified")
    np.testing.assert_array_equal(
        draw(site(0.3, 20), 5, first, first + count, sampler="stratified"), whole[first:]
    )


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_each_unit_is_kept_as_evenly_as_possible(rate: float) -> None:
    kept = (draw(site(rate), 0, 0, 4 * BLOCK, sampler="stratified") > 0).reshape(4, BLOCK, -1).sum(axis=1)
    expected = (1 - rate) * BLOCK
    assert set(np.unique(kept)) <= {np.floor(expected + 1e-6), np.ceil(expected - 1e-6)}
    spread_of_mean = 0.5 / np.sqrt(kept.size)
    assert abs(kept.mean() - expected) < 5 * spread_of_mean


@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_the_mean_of_other_laws_is_more_exact_too(law: str) -> None:
    noise = Site(name="noise", kind=law, law=law, shape=("passes", 1, 2000))
    spreads = {
        sampler: draw(noise, 3, 0, BLOCK, sampler=sampler).mean(axis=0).std()
        for sampler in ("independent", "stratified")
    }
    assert spreads["stratified"] < 0.5 * spreads["independent"]


def test_units_of_a_pass_are_independent() -> None:
    kept = 2.0 * draw(site(0.5, 400), 1, 0, 4000, sampler="stratified")[:, 0] - 1
    correlation = kept.T @ kept / len(kept) - np.eye(400)
    assert abs(correlation).max() < 6 / np.sqrt(len(kept))


def test_the_stream_is_pinned() -> None:
    """A change of the stream changes the answers to all requests with a seed."""
    mask = draw(site(0.5, 12), seed=2**53 - 1, start=1_000_000, stop=1_000_002, sampler="stratified")
    assert (mask[:, 0] > 0).astype(int).tolist() == [
        [0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0],
    ]
