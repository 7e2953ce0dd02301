from typing import Any

import numpy as np
import pytest

from caveat.models.bundles.manifest import Site
from caveat.models.draws import cache, keeping
from caveat.models.draws.cache import DrawCache
from caveat.models.draws.masks import Sampler, draw
from caveat.models.draws.pieces import PIECE
from caveat.models.errors import InputError

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
    first = made.make(1, "stratified", 0, 100, SIZES)
    made.make(2, "stratified", 0, 100, SIZES)
    assert not np.shares_memory(first["one"], made.make(1, "stratified", 0, 100, SIZES)["one"])


def test_no_more_is_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEPT_BYTES", 6_000)  # two pieces of 100 x (20 + 7) bytes
    made = DrawCache(SITES, kept_seed=0)

    def make(number: int) -> np.ndarray:
        return made.make(0, "stratified", 100 * number, 100 * number + 100, SIZES)["one"]

    pieces = [make(number) for number in range(3)]
    assert np.shares_memory(make(2), pieces[2])
    assert np.shares_memory(make(1), pieces[1])
    assert not np.shares_memory(make(0), pieces[0])  # the least recently used piece was dropped
    large = {"length": 10_000}
    first = made.make(0, "stratified", 0, 100, large)["two"]
    made.make(0, "stratified", 100, 200, large)
    assert not np.shares_memory(first, made.make(0, "stratified", 0, 100, large)["two"])
    np.testing.assert_array_equal(first, draw(SITES[1], 0, 0, 100, large, "stratified"))


LARGE = (
    Site(name="wide", kind="dropout", rate=0.1, shape=("passes", 1, PIECE + 9)),
    Site(name="wider", kind="dropout", rate=0.5, shape=("passes", 1, 3, PIECE)),
    Site(name="noise", kind="normal", law="normal", shape=("passes", 1, 5)),
)


@pytest.mark.parametrize("sampler", ["stratified", "independent"])
@pytest.mark.parametrize("chunk", [1, 3, 30])
def test_the_draws_of_a_large_model_do_not_depend_on_what_was_drawn_before(
    sampler: Sampler, chunk: int
) -> None:
    made = DrawCache(LARGE)
    for start in (*range(0, 60, chunk), 0, 26):  # on and on, then back
        found = made.make(3, sampler, start, start + chunk, {})
        for site in LARGE:
            np.testing.assert_array_equal(
                found[site.name], draw(site, 3, start, start + chunk, {}, sampler), strict=True
            )


def test_runs_over_several_blocks_of_rows_share_their_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    made = DrawCache(LARGE)
    first = made.make(3, "stratified", 0, 2, {})
    assert made.make(3, "stratified", 0, 2, {}) is first
    assert made.make(4, "stratified", 0, 2, {}) is not first
    assert made.make(3, "independent", 0, 2, {}) is not first
    monkeypatch.setattr(cache, "LATEST_BYTES", 1000)
    made = DrawCache(LARGE)
    first, again = (made.make(3, "stratified", 0, 2, {}) for _ in range(2))
    assert first is not again
    np.testing.assert_array_equal(first["wider"], again["wider"])


def test_a_block_of_patterns_is_drawn_once_for_its_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, int, int]] = []
    patterns = keeping.patterns

    def counted(stream: str, rate: float, units: int, first: int, last: int, threads: int) -> Any:
        drawn.append((stream, first, last))
        return patterns(stream, rate, units, first, last, threads)

    monkeypatch.setattr(keeping, "patterns", counted)
    made = DrawCache(LARGE[:2])
    for start in range(0, 75, 3):
        made.make(3, "stratified", start, start + 3, {})
    assert len(drawn) == len(set(drawn)) == 2 * 3


def test_small_sizes_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="a length of 0"):
        DrawCache(SITES).make(0, "stratified", 0, 2, {"length": 0})
