"""A user's folder may have any names in it, ours too: the user's code is found first."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from caveat.commands import main
from caveat.models.bundles import store
from caveat.models.bundles.store import BUNDLED

NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 2))
"""
PACKAGE = {"models/__init__.py": "", "models/net.py": NET}
FOLDER = {"models/net.py": NET}
MODULE = {"models.py": NET}
LATE = "def make():\n    from models import Net\n    return Net()\n"

FOLDERS: dict[str, tuple[Mapping[str, str], str]] = {
    "package": (PACKAGE, "models.net:Net"),
    "folder": (FOLDER, "models.net:Net"),
    "module": (MODULE, "models:Net"),
    "training": ({"training/net.py": NET}, "training.net:Net"),
    "service": ({"service/__init__.py": "", "service/net.py": NET}, "service.net:Net"),
    "notebook": ({"net.py": NET, "notebook.ipynb": "{}"}, "net:Net"),
    "import in the factory": ({**MODULE, "make.py": LATE}, "make:make"),
    "our own name": ({"caveat/net.py": NET, "caveat/models/__init__.py": ""}, "caveat.net:Net"),
    "a name of Python's": ({"code.py": NET}, "code:Net"),
}

EXPORT = ("--example", "rows.npy", "--task", "classification", "--outputs", "logits", "--name", "net")

SCRIPT = f"""
import sys
import caveat
from {{module}} import Net
import caveat.models, caveat.service, caveat.training

bundle = caveat.load({str(BUNDLED / "digits")!r})
answer = caveat.estimate(caveat.Predictor(bundle), bundle.manifest.example, samples=10)
assert len(answer["label"]) == len(bundle.manifest.example)
assert sys.modules[Net.__module__].__file__.startswith(sys.path[0]), sys.modules[Net.__module__]
"""


def home(folder: Path, files: Mapping[str, str]) -> Path:
    """Make the folder of a user."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    np.save(folder / "rows.npy", np.random.default_rng(0).random((4, 3), np.float32))
    return folder


@contextmanager
def forgotten(patch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    """Work in a user's folder, and forget the modules that were imported from it."""
    patch.chdir(folder)
    patch.setattr(sys, "path", list(sys.path))
    try:
        yield
    finally:
        for name, module in list(sys.modules.items()):
            places = [vars(module).get("__file__"), *vars(module).get("__path__", ())]
            if any(place and Path(place).is_relative_to(folder) for place in places):
                del sys.modules[name]


def caveat(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the console command, whose own folder is not the user's."""
    command = [str(Path(sys.executable).with_name("caveat")), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("files", "factory"),
    [
        pytest.param(*each, id=name, marks=[] if name == "folder" else [pytest.mark.slow])
        for name, each in FOLDERS.items()
    ],
)
def test_a_network_of_any_place_is_exported_by_the_console_command(
    files: Mapping[str, str], factory: str, tmp_path: Path
) -> None:
    ended = caveat("export", factory, *EXPORT, folder=home(tmp_path, files))
    assert ended.returncode == 0, ended.stderr
    assert store.load(tmp_path / "store" / "net").manifest.sites[0].rate == 0.2


@pytest.mark.parametrize(("files", "factory"), FOLDERS.values(), ids=list(FOLDERS))
def test_a_network_of_any_place_is_exported(
    files: Mapping[str, str], factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with forgotten(monkeypatch, home(tmp_path, files)):
        assert main(["export", factory, *EXPORT]) == 0
    assert store.load(tmp_path / "store" / "net").manifest.sites[0].rate == 0.2


@pytest.mark.parametrize("name", ["package", "folder", "module", "training", "service", "notebook"])
def test_a_script_finds_its_own_modules_and_ours(name: str, tmp_path: Path) -> None:
    files, factory = FOLDERS[name]
    script = home(tmp_path, files) / "script.py"
    script.write_text(SCRIPT.format(module=factory.partition(":")[0]))
    ended = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("files", "factory", "message"),
    [
        ({}, "nowhere.net:Net", "FACTORY: No module named 'nowhere'; looked from {folder} and in what is"),
        (MODULE, "models.net:Net", "No module named 'models.net'; 'models' is not a package; looked from"),
        (PACKAGE, "models:Net", "models has no 'Net'; it is {folder}/models/__init__.py"),
        (
            {"net.py": "import nosuch\n"},
            "net:Net",
            "net can't be imported: net.py, line 1: ModuleNotFoundError: No module named 'nosuch'",
        ),
        (
            {"models/net.py": "from models.parts import Part\n"},
            "models.net:Net",
            "models/net.py, line 1: ModuleNotFoundError: No module named 'models.parts'",
        ),
        (
            {"net.py": "\nfrom models import Part\n", **MODULE},
            "net:Net",
            "net.py, line 2: ImportError: cannot import name 'Part' from 'models'",
        ),
        ({"net.py": "class Net(\n"}, "net:Net", "net can't be imported: net.py, line 1: SyntaxError: '('"),
        ({"net.py": "x = 1 / 0\n"}, "net:Net", "net.py, line 1: ZeroDivisionError: division by zero"),
        (
            {"net.py": "class Net:\n    def __init__(self):\n        {}['width']\n"},
            "net:Net",
            "net:Net failed: net.py, line 3: KeyError: 'width'",
        ),
        ({"net.py": "def Net(width): ...\n"}, "net:Net", "missing 1 required positional argument: 'width'"),
    ],
)
def test_what_fails_is_told_by_the_users_own_line(
    files: Mapping[str, str],
    factory: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with forgotten(monkeypatch, home(tmp_path, files)):
        assert main(["export", factory, *EXPORT]) == 1
    told = capsys.readouterr().err
    assert message.format(folder=tmp_path) in told
    assert told.count("\n") == 1
    assert not (tmp_path / "store").exists()
