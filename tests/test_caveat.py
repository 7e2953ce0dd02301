"""The command line: what it says of mistakes, whatever the command."""

import sys

import pytest

from caveat import __version__, commands


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
    monkeypatch.delitem(sys.modules, "caveat.training.train", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert commands.main(["train", "digits"]) == 1
    assert "pip install '.[training]'" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["--version"]) == 0
    assert capsys.readouterr().out == f"caveat {__version__}\n"
