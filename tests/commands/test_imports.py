"""What a command does not need is not imported: broken installations of other packages do not stop it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from caveat.models.bundles import store
from caveat.models.bundles.bundle import pack
from tests.bundles import drawn, linear_regression, tabular

FOREIGN = (
    *("torchvision", "torchaudio", "torchmetrics", "transformers", "lightning", "scoringrules", "timm"),
    *("tensorflow", "keras", "jax", "numba", "cupy", "dask", "xarray", "IPython", "tensorboard"),
)
"""Packages that PyTorch's users have, and that libraries import which find them: none is Caveat's."""

FOREIGN_TO_ALL_BUT_SCIKIT_LEARN = ("pandas", "pyarrow", "psutil", "lz4")
"""What scikit-learn imports if it is there, and pandas in turn."""

EXPORT = ("onnx", "onnxscript", "onnx_ir", "sympy")
TRAINING = ("torch", "sklearn", "scipy", "polars", "matplotlib", *EXPORT)

OF_A_NETWORK = "export net:net --example rows.npy --task regression --outputs mean --name net"

COMMANDS = {
    "--help": ("onnxruntime", "fastapi", "httpx", *TRAINING),
    "inspect store/linear": ("onnxruntime", "fastapi", "httpx", *TRAINING),
    "serve --help": ("httpx", *TRAINING),
    "predict --help": ("onnxruntime", "fastapi", *TRAINING),
    "evaluate store/linear --data rows.npz --out page.html": ("sklearn", *EXPORT),
    "evaluate store/tabular --data classes.csv --ood classes.csv --out page.html": ("sklearn", *EXPORT),
    "calibrate store/linear --data rows.npz": ("sklearn", *EXPORT),
    OF_A_NETWORK: ("sklearn", "polars", "matplotlib"),
    f"{OF_A_NETWORK} --calibration rows.npz": ("sklearn",),
    "train --data table.csv --target y --noise constant --epochs 1 --name table": ("sklearn",),
    "train digits --epochs 1": ("polars",),
}
"""Commands, with those of Caveat's own packages that each does without."""

NET = """
from torch import nn

net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
"""

BROKEN = """
from pathlib import Path

Path(__file__).with_name("imported").touch()
raise RuntimeError("operator torchvision::nms does not exist")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "net.py").write_text(NET)
    values = linear_regression()
    store.add(folder / "store", values)
    inputs, truth = drawn(values.manifest, 60, 0)
    np.save(folder / "rows.npy", inputs["x"][:8])
    np.savez(folder / "rows.npz", x=inputs["x"], y=truth)
    table(folder / "table.csv", "a,b,c,y", "%.3f,%.3f,%.3f,%.3f", np.column_stack([inputs["x"], truth]))
    classes = tabular()
    classes = pack(classes.manifest.model_copy(update={"target": "ill"}), classes.files)
    store.add(folder / "store", classes)
    inputs, truth = drawn(classes.manifest, 60, 0)
    words = np.array(["no", "yes"])
    columns = [*inputs["x"].T, words[truth]]
    columns[1] = words[inputs["x"][:, 1].astype(int)]
    rows = np.array(list(zip(*columns, strict=True)), object)
    table(folder / "classes.csv", "age,smoker,dose,ill", "%.3f,%s,%.3f,%s", rows)
    return folder


def table(path: Path, names: str, form: str, rows: np.ndarray) -> None:
    np.savetxt(path, rows, fmt=form, header=names, comments="")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_nothing_that_it_does_without(home: Path, tmp_path: Path, command: str) -> None:
    needless = (*FOREIGN, *COMMANDS[command])
    if "digits" not in command:
        needless += FOREIGN_TO_ALL_BUT_SCIKIT_LEARN
    for name in needless:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(BROKEN)
    run = subprocess.run(
        [sys.executable, "-m", "caveat", *command.split()],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert sorted(path.parent.name for path in tmp_path.glob("*/imported")) == []
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
