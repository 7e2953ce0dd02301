import math

import pytest

from caveat.training.recipe import Recipe
from caveat.training.schedule import Next, Schedule


def followed(recipe: Recipe, better: str) -> tuple[list[Next], list[float]]:
    """Follow a schedule to its end, with a letter for each epoch: b if it was better, w if not."""
    schedule, following, lrs = Schedule(recipe), [], []
    for letter in better:
        lrs.append(schedule.lr)
        following.append(schedule.after(letter == "b"))
        if following[-1] is Next.END:
            break
    return following, lrs


def test_a_constant_step_size_ends_when_patience_does() -> None:
    following, lrs = followed(Recipe(9, 1, 0.5, patience=2), "bwbwwbb")
    assert following == [Next.EPOCH] * 4 + [Next.END]
    assert lrs == [0.5] * 5


def test_a_falling_step_size_falls_to_its_end_when_patience_ends() -> None:
    following, lrs = followed(Recipe(10, 1, 2.0, patience=3, annealed=True), "bwww" + "w" * 9)
    assert following == [Next.EPOCH] * 3 + [Next.RETURN] + [Next.EPOCH] * 2 + [Next.END]
    assert lrs == pytest.approx([1 + math.cos(math.pi * place / 10) for place in (0, 1, 2, 3, 7, 8, 9)])


def test_the_end_of_a_falling_step_size_is_not_cut_short() -> None:
    following, _ = followed(Recipe(6, 1, 1.0, patience=2, annealed=True), "bbbwwww")
    assert following == [Next.EPOCH] * 5 + [Next.END]


@pytest.mark.parametrize("annealed", [True, False])
def test_without_patience_all_epochs_follow(annealed: bool) -> None:
    following, lrs = followed(Recipe(5, 1, 1.0, patience=None, annealed=annealed), "w" * 9)
    assert following == [Next.EPOCH] * 4 + [Next.END]
    assert (lrs[-1] < 0.1) == annealed
