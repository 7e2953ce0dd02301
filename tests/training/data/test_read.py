from pathlib import Path

import numpy as np
import pytest

from caveat.training.data.read import read
from caveat.training.errors import DataError


def test_the_suffix_tells_the_type(tmp_path: Path) -> None:
    (tmp_path / "a.CSV").write_text("u,v\n" + "1,a\n2,b\n" * 20)
    assert read(tmp_path / "a.CSV", ("v",), None).classes == ("a", "b")
    np.savez(tmp_path / "b.npz", x=np.ones((20, 2)), y=np.arange(20) % 2)
    assert read(tmp_path / "b.npz", None, None).classes == ("0", "1")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv: no such file"):
        read(tmp_path / "nothing.csv", ("y",), None)


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(DataError, match=r"unknown type '\.xlsx'; expected \.csv, \.tsv"):
        read(tmp_path / "a.xlsx", ("y",), None)


def test_a_target_for_an_npz_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").touch()
    with pytest.raises(DataError, match="the target of an NPZ file is its array y"):
        read(tmp_path / "a.npz", ("y",), None)
