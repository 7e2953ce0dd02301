from pathlib import Path

import numpy as np
import pytest

from caveat.models.bundles import store
from tests.bundles import drawn, linear_regression, tabular
from tests.service.serving import caveat


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    store.add(folder / "store", linear_regression())
    store.add(folder / "store", tabular())
    inputs, truth = drawn(linear_regression().manifest, 80, 0)
    np.savez(folder / "rows.npz", x=inputs["x"], y=truth)
    np.savez(folder / "strange.npz", x=100 + inputs["x"])
    return folder


def test_the_command_prints_the_figures_and_writes_a_page(folder: Path) -> None:
    bundle, rows, page = folder / "store" / "linear", folder / "rows.npz", folder / "page.html"
    strange = folder / "strange.npz"
    run = caveat("evaluate", bundle, "--data", rows, "--ood", strange, "--samples", "20", "--out", page)
    assert run.returncode == 0, run.stderr
    assert "linear 1, 80 rows, 20 passes" in run.stdout
    assert "epistemic_variance" in run.stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    calibrated = caveat("calibrate", bundle, "--data", rows)
    assert calibrated.returncode == 0, calibrated.stderr
    assert b"<svg" in (bundle / "2" / "card.html").read_bytes()
    again = caveat("evaluate", bundle, "--data", rows, "--out", page)
    assert "the rows that it was calibrated on" in again.stdout
    assert "held at 90%" in again.stdout


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        ("nothing.npz", (), "nothing.npz: no such file"),
        ("strange.npz", (), "strange.npz: has the arrays x; expected x and y"),
        ("rows.npz", ("--out", "no/such/folder.html"), "no/such/folder.html: can't be written"),
        ("rows.npz", ("--ood", "nothing.csv"), "nothing.csv: no such file"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(
    folder: Path, data: str, more: tuple[str, ...], message: str
) -> None:
    run = caveat("evaluate", folder / "store" / "linear" / "1", "--data", folder / data, *more)
    assert run.returncode == 1
    assert message in run.stderr
    assert "Traceback" not in run.stderr
