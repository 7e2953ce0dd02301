"""Hostile clients and killed workers, for a short while; the programs themselves go on for an hour."""

from typing import Any

import pytest

from tests.test_benchmarks import program

__all__ = ["program"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_clients_break_nothing_and_keep_nobody_out(
    seed: int, program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (
        "--minutes",
        "0.2",
        "--seed",
        str(seed),
        "--threads",
        "4",
        "--crowd",
        "1000",
        "--slower",
        "inf",
    )
    assert program("hostile", *arguments).main() == 0, capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_worker_costs_its_own_requests_and_no_others(
    program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program("kills", "--workers", "2", "--kills", "4", "--pause", "1.5").main() == 0, (
        capsys.readouterr().out
    )


def test_a_fault_is_an_exit_code(
    program: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, part, arguments in (("hostile", "fuzz", ()), ("kills", "attack", ("--kills", "0"))):
        module = program(name, *arguments)
        monkeypatch.setattr(module, part, lambda *_: ["something broke"])
        assert module.main() == 1
        assert "FAULT: something broke" in capsys.readouterr().out
