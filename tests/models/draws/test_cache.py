import numpy as np
import pytest

from caveat.models.bundles.manifest import Site
from caveat.models.draws import cache
from caveat.models.draws.cache import DrawCache
from caveat.models.draws.masks import Sampler, draw

SITES = (
    Site(name="one", kind="dropout", rate=0.3, shape=("passes", 1, 20)),
    Site(name="two", kind="dropout", rate=0.5, shape=("passes", 1, "length")),
)
SIZES = {"length": 7}


@pytest.mark.parametrize("sampler", ["stratified", "independent"])
@pytest.mark.parametrize(("start", "stop"), [(0, 100), (0, 7), (40, 60), (90, 310), (100, 200)])
@pytest.mark.parametrize("seed", [0, 1])
def test_kept_draws_equal_fresh_ones(sampler: Sampler, start: int, stop: int, seed: int) -> None:
    made = DrawCache(SITES, kept_seed=0)
    for _ in range(2):
        found = made.make(seed, sampler, start, stop, SIZES)
        for site in SITES:
            np.testing.assert_array_equal(
                found[site.name], draw(site, seed, start, stop, SIZES, sampler), strict=True
            )


def test_only_draws_of_the_shared_seed_are_kept() -> None:
    made = DrawCache(SITES, kept_seed=0)
    first, again = (made.make(0, "stratified", 0, 100, SIZES) for _ in range(2))
    assert np.shares_memory(first["one"], again["one"])
    first, again = (made.make(1, "stratified", 0, 100, SIZES) for _ in range(2))
    assert not np.shares_memory(first["one"], again["one"])


def test_no_more_is_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEPT_BYTES", 25_000)  # two pieces of 100 x (20 + 7) x 4 bytes
    made = DrawCache(SITES, kept_seed=0)

    def make(number: int) -> np.ndarray:
        return made.make(0, "stratified", 100 * number, 100 * number + 100, SIZES)["one"]

    pieces = [make(number) for number in range(3)]
    assert np.shares_memory(make(2), pieces[2])
    assert np.shares_memory(make(1), pieces[1])
    assert not np.shares_memory(make(0), pieces[0])  # the least recently used piece was dropped
    large = {"length": 10_000}
    first, again = (made.make(0, "stratified", 0, 100, large)["two"] for _ in range(2))
    assert not np.shares_memory(first, again)
    np.testing.assert_array_equal(first, draw(SITES[1], 0, 0, 100, large, "stratified"))
