"""Whatever a table holds, it is read, or refused in one line."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caveat.models.errors import CaveatError
from caveat.training.data.options import TableOptions
from caveat.training.data.read import read

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


@pytest.mark.parametrize("seed", range(4))
def test_any_table_is_read_or_refused_in_one_line(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    outcomes: dict[str, list[str]] = {"read": [], "refused": []}
    for _ in range(60):
        rows = chance.choice([5, 25, 60])
        names = [*chance.sample(NAMES, chance.randint(1, 5)), "t"]
        columns = [*(column(chance, rows) for _ in names[1:]), [str(row % 2) for row in range(rows)]]
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
        tidied = [" ".join(name.split()) or f"column {k}" for k, name in enumerate(names, start=1)]
        for place, feature in enumerate(dataset.input.features or ()):
            if feature.categories is None and feature.dates is None:
                continue
            # What training was given, the service takes as well, and takes for the same.
            cells = columns[tidied.index(feature.name)]
            np.testing.assert_array_equal(feature.values(cells, str), dataset.x[:, place])
    assert min(map(len, outcomes.values())) >= 5
    assert not any("\n" in message for message in outcomes["refused"])
