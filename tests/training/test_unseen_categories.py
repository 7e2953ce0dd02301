"""A category that training did not see makes answers less certain, or is refused."""

from pathlib import Path

import numpy as np
import pytest

from caveat.models.bundles.features import OTHER
from caveat.models.errors import InputError
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training.data.dataset import Dataset, split
from caveat.training.data.options import TableOptions
from caveat.training.data.read import read
from caveat.training.errors import DataError
from caveat.training.options import Options
from caveat.training.train import train

ROWS = 300


def table(folder: Path, target: str, unseen: bool) -> Dataset:
    """Make a table in which the shop decides most of whether there is a meal, and the door nothing."""
    random = np.random.default_rng(0)
    shops = random.integers(0, 3, ROWS)
    guests = random.integers(1, 6, ROWS)
    meal = np.where(random.random(ROWS) < np.array([0.02, 0.5, 0.98])[shops], "dinner", "lunch")
    cost = 10 * shops + guests + random.normal(0, 0.3, ROWS)
    doors = random.choice(["left", "right"], ROWS)
    lines = ["shop,guests,door,meal,cost"]
    lines += [f"{'abc'[shops[k]]},{guests[k]},{doors[k]},{meal[k]},{cost[k]:.3f}" for k in range(ROWS)]
    (folder / "meals.csv").write_text("\n".join(lines))
    options = TableOptions(unseen="other" if unseen else None, features=("shop", "guests", "door"))
    return read(folder / "meals.csv", (target,), None, options)


ASKED: list[dict[str, str | int]] = [
    {"shop": shop, "guests": guests, "door": door}
    for shop in ("a", "b", "c")
    for guests in (1, 3, 5)
    for door in ("left", "right")
]
UNKNOWN = [{**row, "shop": "somewhere else"} for row in ASKED]


@pytest.mark.parametrize(("target", "column"), [("meal", "predictive_entropy"), ("cost", "variance")])
def test_an_unknown_category_makes_answers_less_certain(target: str, column: str, tmp_path: Path) -> None:
    dataset = table(tmp_path, target, unseen=True)
    bundle = train(dataset, Options(epochs=60))
    predictor = Predictor(bundle, threads=1)
    known, unknown = (
        estimate(predictor, predictor.encode(rows))[column].astype(np.float64) for rows in (ASKED, UNKNOWN)
    )
    # What tells nothing makes no answer more certain by being unknown.
    rows = split(dataset, Options().test_size, Options().seed).validation.x
    without_door = np.where([False, False, True], OTHER, rows)
    asked = (estimate(predictor, {"features": each}, seed=1)[column].mean() for each in (rows, without_door))
    with_door, without = asked
    assert without > 1.04 * with_door
    if target == "cost":
        # Known shops leave a deviation of about 0.3, and an unknown one that of 0, 10 and 20, which is 8.
        assert (np.sqrt(known) < 2).all()
        assert (abs(np.sqrt(unknown) - 8) < 3).all()
        assert bundle.manifest.outputs == "mean_variance"
        with pytest.raises(DataError, match="for --unseen other leave it out"):
            train(table(tmp_path, target, unseen=True), Options(noise="constant"))
    else:
        # Shop b says as little as no shop; the others say nearly all.
        sure = [place for place, row in enumerate(ASKED) if row["shop"] != "b"]
        assert (known[sure] < 0.4).all()
        assert (unknown > 0.5).all()
    assert bundle.manifest.provenance.hyperparameters["hidden_categories"] == 0.1


def test_without_the_option_all_rows_of_unknown_categories_are_named(tmp_path: Path) -> None:
    spec = table(tmp_path, "meal", unseen=False).input
    rows = [ASKED[0], UNKNOWN[1], ASKED[2], UNKNOWN[3]]
    with pytest.raises(
        InputError, match=r'inputs\[1\].shop: expected one of "a", "b", "c", got "some'
    ) as raised:
        spec.encode(rows)
    assert raised.value.rows == (1, 3)


def test_the_owner_is_told_of_names_that_leave_few_rows_to_hold_out(tmp_path: Path) -> None:
    lines = ["name,size,y", *(f"n{k if k < 80 else k % 20},{k % 5},{k % 3 / 3}" for k in range(120))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    dataset = read(tmp_path / "t.csv", ("y",), None, TableOptions(categorical=("name",)))
    said: list[str] = []
    train(dataset, Options(epochs=1, noise="constant"), say=said.append)
    assert "of 120 rows are held out; the others have categories" in said[1]
