from pathlib import Path

import numpy as np
import pytest

from caveat.commands import main
from caveat.models.bundles import store
from tests.bundles import drawn, linear_regression, tabular


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    store.add(folder / "store", linear_regression())
    store.add(folder / "store", tabular())
    inputs, truth = drawn(linear_regression().manifest, 80, 0)
    np.savez(folder / "rows.npz", x=inputs["x"], y=truth)
    np.savez(folder / "strange.npz", x=100 + inputs["x"])
    return folder


def test_it_prints_the_figures_and_writes_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, rows, page = (str(folder / name) for name in ("store/linear", "rows.npz", "page.html"))
    strange = str(folder / "strange.npz")
    assert main(["evaluate", bundle, "--data", rows, "--ood", strange, "--samples", "20", "--out", page]) == 0
    printed = capsys.readouterr().out
    assert "linear 1, 80 rows, 20 passes" in printed
    assert "epistemic_variance" in printed
    assert Path(page).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["calibrate", bundle, "--data", rows]) == 0
    assert b"<svg" in (Path(bundle) / "2" / "card.html").read_bytes()
    capsys.readouterr()
    assert main(["evaluate", bundle, "--data", rows, "--out", page]) == 0
    again = capsys.readouterr().out
    assert "the rows that it was calibrated on" in again
    assert "held at 90%" in again


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        ("nothing.npz", (), "nothing.npz: no such file"),
        ("strange.npz", (), "strange.npz: has the arrays x; expected x and y"),
        ("rows.npz", ("--out", "no/such/folder.html"), "no/such/folder.html: can't be written: No such file"),
        ("rows.npz", ("--out", "/dev/full"), "/dev/full: can't be written: No space left on device"),
        ("rows.npz", ("--ood", "nothing.csv"), "nothing.csv: no such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    folder: Path, data: str, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(folder / "store" / "linear" / "1")
    assert main(["evaluate", bundle, "--data", str(folder / data), *more]) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
