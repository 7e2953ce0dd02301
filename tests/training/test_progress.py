import io
import sys

import pytest
import torch
from torch import nn

from caveat.training.errors import ExportError
from caveat.training.export.export import export
from caveat.training.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def exported(progress: Bar | None) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 2))
    export(network, torch.rand(4, 3), task="classification", outputs="logits", name="n", progress=progress)


def test_a_terminal_sees_each_step_and_the_bar_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar() as bar:
        exported(bar)
        shown = terminal.getvalue()
    for number, step in enumerate(("check the answers", "check the draws", "write predict.onnx")):
        assert f"{step}: " in shown
        assert f"{number}/8" in shown
    assert "compare with PyTorch's own dropout:  88%" in shown
    assert shown.endswith("\r")
    assert terminal.getvalue() == shown


def test_a_failure_removes_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with pytest.raises(ExportError, match="no active dropout"), Bar() as bar:
        export(network, torch.rand(4, 3), task="classification", outputs="logits", name="n", progress=bar)
    assert "check the draws" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


@pytest.mark.parametrize("bar", [None, Bar()])
def test_what_is_no_terminal_stays_silent(capsys: pytest.CaptureFixture[str], bar: Bar | None) -> None:
    exported(bar)
    assert capsys.readouterr() == ("", "")


def test_steps_are_numbered_to_the_end() -> None:
    steps: list[tuple[int, int]] = []
    network = nn.Sequential(nn.Dropout(0.2), nn.Linear(3, 2))
    export(
        network,
        torch.rand(4, 3),
        task="classification",
        outputs="logits",
        name="n",
        progress=lambda _, number, count: steps.append((number, count)),
    )
    assert steps == [(number, 8) for number in range(9)]
