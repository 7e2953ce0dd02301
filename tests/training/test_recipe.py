import pytest

from caveat.models.tasks import tasks
from caveat.models.tasks.defaults import Defaults
from caveat.training.options import Options
from caveat.training.recipe import Recipe, recipe, suited, suited_rate

CLASSES, VALUES = (tasks.named(name).training for name in ("classification", "regression"))


@pytest.mark.parametrize("rows", [20, 1_295, 10_000])
def test_few_rows_keep_the_recipe_of_the_published_figures(rows: int) -> None:
    assert recipe(Options(), CLASSES, rows) == Recipe(200, 32, 1e-3, 40, annealed=False, l2=5e-5)
    values = recipe(Options(), VALUES, rows)
    assert (values.epochs, values.batch_size, values.lr, values.annealed) == (200, 32, 5e-3, True)
    assert suited_rate(0.1, rows) == 0.1


@pytest.mark.parametrize("defaults", [CLASSES, VALUES])
def test_many_rows_are_trained_in_large_batches_with_a_falling_step_size(defaults: Defaults) -> None:
    found = recipe(Options(), defaults, 400_000)
    assert (found.epochs, found.batch_size, found.patience, found.annealed) == (32, 1024, 9, True)
    assert found.lr == 5e-3
    assert recipe(Options(batch_size=32), CLASSES, 400_000).lr == 1e-3


def test_no_number_of_rows_makes_many_more_steps_than_few_rows_do() -> None:
    few = 200 * 10_000 / 32
    for exponent in range(8, 48):
        rows = round(1.5**exponent)
        batch_size, epochs = suited(rows)
        assert epochs >= 1
        assert epochs * rows / batch_size <= 1.1 * few or epochs == 1 or batch_size == 1024
    batch_size, epochs = suited(10_000_000)
    assert epochs * 10_000_000 / batch_size < 1.1 * few


def test_the_user_decides() -> None:
    options = Options(
        epochs=7, batch_size=5, lr=0.5, weight_decay=0.25, patience=3, l1=0.1, l2=0.2, max_norm=3
    )
    for rows in (100, 1_000_000):
        found = recipe(options, VALUES, rows)
        assert found == Recipe(7, 5, 0.5, 3, True, 0.1, 0.2, 0.25, 3.0)
    assert recipe(Options(epochs=30), VALUES, 100).patience == 9
    assert recipe(Options(epochs=2), VALUES, 100).patience == 1


def test_the_rate_falls_with_the_rows() -> None:
    rates = [suited_rate(0.5, rows) for rows in (100, 10_000, 40_000, 250_000, 10**9)]
    assert rates == [0.5, 0.5, 0.25, 0.1, 0.1]
