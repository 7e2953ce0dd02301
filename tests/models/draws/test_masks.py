import itertools
import math
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caveat.models.bundles.manifest import Site
from caveat.models.draws.masks import MAX_SEED, Sampler, draw


def site(rate: float = 0.5, units: int = 100, name: str = "drop") -> Site:
    return Site(name=name, kind="dropout", rate=rate, shape=("passes", 1, units))


@pytest.mark.parametrize("sampler", ["stratified", "independent"])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_units_are_kept_at_the_rate(rate: float, sampler: Sampler) -> None:
    passes, units = 2000, 503
    mask = draw(site(rate, units), seed=1, start=0, stop=passes, sampler=sampler)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1}
    kept = int(mask.sum())
    spread = math.sqrt(passes * units * rate * (1 - rate))
    assert abs(kept - passes * units * (1 - rate)) < 5 * spread  # false alarm below 1e-6


@given(seed=st.integers(0, MAX_SEED), units=st.integers(1, 70), cuts=st.sets(st.integers(1, 39)))
@settings(deadline=None)
def test_passes_do_not_depend_on_how_they_are_cut_into_chunks(seed: int, units: int, cuts: set[int]) -> None:
    whole = draw(site(units=units), seed, 0, 40)
    edges = [0, *sorted(cuts), 40]
    parts = [draw(site(units=units), seed, *edge) for edge in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_seeds_sites_and_passes_draw_independently() -> None:
    first = draw(site(units=10_000), 0, 0, 2)
    draws = [
        first[0],
        first[1],
        draw(site(units=10_000), 1, 0, 1)[0],
        draw(site(units=10_000, name="other"), 0, 0, 1)[0],
    ]
    signs = np.stack([2.0 * draw[0] - 1 for draw in draws])
    correlation = signs @ signs.T / signs.shape[1] - np.eye(len(draws))
    assert np.abs(correlation).max() < 0.05  # 5 standard errors


def test_the_stream_is_pinned() -> None:
    """A change of the stream changes the answers to all requests with a seed."""
    mask = draw(site(units=12), seed=2**53 - 1, start=1_000_000, stop=1_000_002)
    assert (mask[:, 0] > 0).astype(int).tolist() == [
        [0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0],
    ]
    kept = draw(site(0.1, 100_000), seed=0, start=7, stop=9)  # some units need more than 8 bits
    assert sha256(kept.tobytes()).hexdigest()[:16] == "7850c335ea2693c8"


def noise(law: str, units: int = 400, passes: int = 1000) -> np.ndarray:
    rate = 0.3 if law in ("keep", "bernoulli") else None
    site = Site(name="noise", kind=law, law=law, rate=rate, shape=("passes", 1, units))
    return draw(site, seed=5, start=0, stop=passes).astype(np.float64)


@pytest.mark.parametrize(
    ("law", "mean", "variance", "fourth"),
    [
        ("keep", 0.7, 0.21, 0.3 * 0.7**4 + 0.7 * 0.3**4),
        ("bernoulli", 0.7, 0.21, 0.3 * 0.7**4 + 0.7 * 0.3**4),
        ("uniform", 0.5, 1 / 12, 1 / 80),
        ("normal", 0.0, 1.0, 3.0),
    ],
)
def test_every_law_has_its_mean_and_variance(law: str, mean: float, variance: float, fourth: float) -> None:
    values = noise(law)
    centred = values - mean
    assert abs(centred.mean()) < 5 * math.sqrt(variance / values.size)  # false alarm below 1e-6
    assert abs((centred**2).mean() - variance) < 5 * math.sqrt((fourth - variance**2) / values.size)
    neighbours = (centred[..., 1:] * centred[..., :-1]).mean() / variance
    assert abs(neighbours) < 5 / math.sqrt(values.size)


def test_uniform_draws_lie_in_the_unit_interval_and_fill_it_evenly() -> None:
    values = noise("uniform")
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values, bins=50, range=(0, 1))[0]
    expected = values.size / 50
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 49 + 5.5 * math.sqrt(2 * 49)


def test_normal_draws_have_normal_quantiles_and_are_finite() -> None:
    values = noise("normal")
    assert np.isfinite(values).all()
    for bound, below in ((-2.0, 0.022750), (-1.0, 0.158655), (0.0, 0.5), (1.0, 0.841345), (2.0, 0.977250)):
        assert abs((values < bound).mean() - below) < 5 * math.sqrt(below * (1 - below) / values.size)


@pytest.mark.parametrize("law", ["keep", "bernoulli", "uniform", "normal"])
def test_a_pass_of_every_law_does_not_depend_on_the_others(law: str) -> None:
    rate = 0.3 if law in ("keep", "bernoulli") else None
    site = Site(name="noise", kind=law, law=law, rate=rate, shape=("passes", 1, "length", 3))
    whole = draw(site, 2, 0, 9, {"length": 5})
    np.testing.assert_array_equal(draw(site, 2, 4, 7, {"length": 5}), whole[4:7])
