"""What the benchmarks claim, they must be able to deny."""

import runpy
import sys
from pathlib import Path

import pytest

STARTUP = Path(__file__).parents[1] / "benchmarks" / "startup.py"


@pytest.mark.parametrize(("figures", "code"), [((1.4, 149.0), 0), ((1.6, 149.0), 1), ((1.4, 151.0), 1)])
def test_a_missed_bar_is_an_exit_code(
    figures: tuple[float, float],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main = runpy.run_path(str(STARTUP))["main"]
    monkeypatch.setitem(main.__globals__, "measure", lambda samples: figures)
    monkeypatch.setattr(sys, "argv", ["startup.py", "--rounds", "1"])
    assert main() == code
    assert "process start to ready" in capsys.readouterr().out
