"""Whatever a table holds, it is read, or refused in one line."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caveat.models.bundles.manifest import Provenance
from caveat.models.errors import CaveatError
from caveat.training.data.dataset import Dataset
from caveat.training.data.options import HeldOutOptions, TableOptions
from caveat.training.data.read import read
from caveat.training.held_out import read_held_out
from tests.bundles import linear_regression, tabular

CELLS = (
    *(
        "1",
        "2.5",
        "-3",
        "+5",
        "-0",
        "1e5",
        "1e400",
        "inf",
        "nan",
        "1,234",
        "1.234",
        "1,2,3",
        "1.2.3",
        "1_000",
    ),
    *(
        "9.7%",
        "$12",
        "(5)",
        "12 kg",
        "4WD",
        "\u2212",
        "½",
        "\uff11\uff12",
        "\u06f5",
        "0x1F",
        "01",
        "007",
        "9" * 21,
    ),
    *("", "NA", "null", "None", "-", "--", ".", ",", "%", "gas", " gas", "Gas", "True", "false", "x" * 1100),
    *("2026-01-02", "01/02/2026", "12:30", "a\nb", "a,b", "a;b", '"q"', "é", "\x00", "\x1b[31m", "\u200b"),
)
NAMES = ("a", "b", "c d", "e,f", "", "Unnamed: 0", "index", "y=%Y", 'q"', "x\ny", "é", "Y")


TARGETS: tuple[Callable[[int], str], ...] = (
    lambda row: str(row % 2),
    lambda row: f"{row / 3:.2f}",
    lambda row: f"{row % 3}0 %",
    lambda row: f"0{row % 3}",
    lambda row: str(2**53 + row % 3),
    lambda row: f"${row:,}" if row else "",
    lambda row: ("yes", "Yes ", "no")[row % 3],
)


def column(chance: random.Random, rows: int) -> list[str]:
    """Make cells of a kind, among which a few of another one may be."""
    few = chance.sample(CELLS, chance.randint(1, 4))
    kinds: tuple[Callable[[], str], ...] = (
        lambda: str(chance.randint(0, 9)),
        lambda: f"{chance.random() * 1e4:,.2f}",
        lambda: f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
        lambda: chance.choice(few),
    )
    kind = chance.choice(kinds)
    return [kind() if chance.random() < 0.97 else chance.choice(CELLS) for _ in range(rows)]


def held_out_alike(path: Path, dataset: Dataset, named: dict[str, Any]) -> None:
    """Read the file as held-out rows of a model that was trained on it: the same rows must come out."""
    update = {
        "inputs": (dataset.input,),
        "target": dataset.target,
        "classes": dataset.classes,
        "provenance": Provenance(data=dict(dataset.writing)),
    }
    bundle = linear_regression() if dataset.classes is None else tabular()
    manifest = bundle.manifest.model_copy(update=update)
    options = HeldOutOptions(
        # What was no number or date in training is told so again.
        numeric=named.get("numeric"),
        dates=tuple(feature.name for feature in dataset.input.features or () if feature.dates) or None,
        labels="names" if dataset.classes else None,
    )
    inputs, y, _ = read_held_out(path, manifest, options)
    np.testing.assert_array_equal(inputs["features"], dataset.x)
    np.testing.assert_array_equal(y, dataset.y)


@pytest.mark.parametrize("seed", range(4))
def test_any_table_is_read_or_refused_in_one_line(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    outcomes: dict[str, list[str]] = {"read": [], "refused": []}
    for _ in range(60):
        rows = chance.choice([5, 25, 60])
        names = [*chance.sample(NAMES, chance.randint(1, 5)), "t"]
        target = chance.choice(TARGETS)
        columns = [*(column(chance, rows) for _ in names[1:]), [target(row) for row in range(rows)]]
        path = tmp_path / chance.choice(["t.csv", "t.tsv", "t.jsonl"])
        if path.suffix == ".jsonl":
            lines = (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
            path.write_text("\n".join(map(json.dumps, lines)))
        else:
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else chance.choice(",;"))
                writer.writerows([names, *zip(*columns, strict=True)])
        named: dict[str, Any] = {
            option: (chance.choice(names[:-1]),)
            for option in ("drop", "features", "categorical", "numeric", "dates")
            if chance.random() < 0.15
        }
        try:
            dataset = read(path, ("t",), None, TableOptions(**named))
        except CaveatError as error:
            outcomes["refused"].append(str(error))
            continue
        outcomes["read"].append(str(dataset.report))
        held_out_alike(path, dataset, named)
        tidied = [" ".join(name.split()) or f"column {k}" for k, name in enumerate(names, start=1)]
        for place, feature in enumerate(dataset.input.features or ()):
            if feature.categories is None:
                continue
            # What training was given, the service takes as well, and takes for the same.
            known = zip(columns[tidied.index(feature.name)], columns[-1], strict=True)
            cells = [cell for cell, truth in known if truth]
            np.testing.assert_array_equal(feature.values(cells, str), dataset.x[:, place])
    assert min(map(len, outcomes.values())) >= 3
    assert not any("\n" in message for message in outcomes["refused"])
