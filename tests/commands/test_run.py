"""The command line: what it says of mistakes, whatever the command."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from caveat import __version__, commands
from caveat.commands.run import COMMANDS
from caveat.models.bundles.store import BUNDLED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "mnist"], "caveat train: dataset: Input should be 'digits' or 'diabetes'"),
        (
            ["train", "digits", "--hidden", "8,abc"],
            "caveat train: --hidden[1]: Input should be a valid integer, unable to parse string as an "
            "integer\n",
        ),
        (
            ["predict", "rows.json", "--seed", "rnd"],
            "caveat predict: --seed: Input should be a valid integer, unable to parse string as an integer "
            "or 'random'",
        ),
        (
            ["train", "digits", "--lr", "0", "--epochs", "0"],
            "caveat train: --epochs: Input should be greater than or equal to 1; "
            "--lr: Input should be greater than 0",
        ),
        (["train"], "caveat train: name a bundled data set (digits or diabetes) or a file with --data, one"),
        (
            ["fly"],
            "caveat: no command 'fly'; expected one of train, export, calibrate, evaluate, inspect, serve,"
            " predict",
        ),
        (["exprot"], "caveat: no command 'exprot'; did you mean export?"),
        (["train", "--epoch", "5"], "caveat train: no option --epoch; did you mean --epochs?"),
        (["serve", "--max-row=5"], "caveat serve: no option --max-row; did you mean --max-rows?"),
        (
            ["predict", "a.json", "--colour"],
            "caveat predict: no option --colour; caveat predict --help lists",
        ),
        (["inspect", "a", "b"], "caveat inspect: 'b' is one argument too many; usage: caveat inspect"),
        (["inspect"], "caveat inspect: the following arguments are required: PATH"),
        (["export", "net:Net"], "caveat export: --example: is required; --task: is required; --outputs: is"),
        (
            ["train", "houses.csv"],
            "caveat train: dataset: houses.csv looks like a file; a file goes with --data",
        ),
    ],
)
def test_a_mistake_is_told_once_by_its_option(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(message)
    assert errors.count("\n") == 1


def test_training_without_torch_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "caveat.training.train", raising=False)  # of an earlier test
    assert commands.main(["train", "digits"]) == 1
    told = capsys.readouterr().err
    assert told == (
        "caveat train: needs torch, which the extra 'training' brings: pip install '.[training]' in Caveat's "
        "folder\n"
    )


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["--version"]) == 0
    assert capsys.readouterr().out == f"caveat {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_is_for_people(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert not re.search(r"tuple\[|Path|default: none|None|\(\)|<class|{{|--\S+ (int|str|float|bool)\b", text)
    module = import_module(f"caveat.commands.{name}")
    fields = getattr(module, COMMANDS[name][0]).model_fields
    laid_out = [field for group in module.LAYOUT.values() for field in group]
    assert sorted(laid_out) == sorted(str(field.validation_alias or name) for name, field in fields.items())
    words = " ".join(text.split())
    for field in fields.values():
        assert field.description
        assert field.description in words
    for title in module.LAYOUT:
        assert f"\n{title}:\n" in text


ONLY_WHAT_IS_NEEDED = """
import sys
import caveat
heavy = {"torch", "onnxruntime", "fastapi"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
from caveat.commands import main
assert main(["train", "nosuch"]) == 2
assert main(["train", "digits", "--epoch", "5"]) == 2
assert main(["calibrate", "nowhere", "--data", "rows.npz"]) == 1
assert main(["--help"]) == 0
try:
    main(["export", "--help"])
except SystemExit as ended:
    assert ended.code == 0
assert "torch" not in sys.modules
assert caveat.__all__ == sorted(caveat.__all__, key=str)
"""


def test_what_a_mistake_does_not_need_is_not_imported(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ONLY_WHAT_IS_NEEDED], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    command = [sys.executable, "-m", "caveat", "inspect", str(BUNDLED / "digits")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == ""
        assert run.wait(60) == commands.BROKEN_PIPE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_cannot_be_written_is_one_line() -> None:
    command = [sys.executable, "-m", "caveat", "inspect", str(BUNDLED / "digits")]
    with open("/dev/full", "w") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 1
    assert run.stderr == "caveat: the output can't be written: No space left on device\n"


def test_a_path_that_the_system_refuses_is_named() -> None:
    path = "a" * 300
    run = subprocess.run([sys.executable, "-m", "caveat", "inspect", path], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (1, f"caveat: {path}: File name too long\n")


INTERRUPTED = """
import os, signal, sys

class Moment:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(Moment)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Moment)
from caveat.commands import main
sys.exit(main(["train", "digits", "--epochs", "1"]))
"""
"""Ctrl-C as a module is looked for: so the moment depends on no clock."""


@pytest.mark.parametrize("moment", ["numpy", "torch", "torch.nn.functional", "torch.onnx._internal"])
def test_an_interrupt_is_one_line_and_leaves_nothing(moment: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, moment], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == commands.INTERRUPTED
    assert run.stderr.splitlines()[-1] == "caveat: interrupted"
    assert "Traceback" not in run.stderr
    assert not list(tmp_path.iterdir())
