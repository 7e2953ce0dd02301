"""Hostile clients, killed workers and mutants, for a short while; the programs themselves take an hour."""

import importlib
import re
from typing import Any

import pytest

from caveat.models.bundles import store
from caveat.models.bundles.store import BUNDLED
from tests.test_benchmarks import program

__all__ = ["program"]

DIGITS = store.load(BUNDLED / "digits")


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
    assert (
        program("kills", "--workers", "2", "--kills", "4", "--pause", "1.5", "--ready", "60").main() == 0
    ), capsys.readouterr().out


@pytest.mark.slow
def test_mutants_of_bundles_neither_end_nor_stall_the_service(
    program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program("mutants", "--count", "300").main() == 0, capsys.readouterr().out


def test_a_mutant_beyond_the_bounds_is_an_exit_code(
    program: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mutants = program("mutants", "--count", "2", "--first", "5")
    monkeypatch.setattr(mutants, "specimens", lambda: [DIGITS])
    monkeypatch.setattr(mutants, "MEMORY", -(10**12))
    assert mutants.main() == 1
    out = capsys.readouterr().out
    for number in (5, 6):
        assert f"FAULT: mutant {number} (digits" in out
    assert re.search(r"^all +2 ", out, re.MULTILINE)


def test_a_seed_makes_the_same_mutants_again(program: Any) -> None:
    program("mutants")
    mutations = importlib.import_module("mutation.mutations")
    made = [[mutations.mutant(3, number, [DIGITS]) for number in range(40)] for _ in range(2)]
    for first, again in zip(*made, strict=True):
        assert (first.kinds, first.text, first.files) == (again.kinds, again.text, again.files)
        assert repr(first.manifest) == repr(again.manifest)  # NaN differs from itself
    assert len({repr((mutant.manifest, mutant.files)) for mutant in made[0]}) == 40


def test_a_fault_is_an_exit_code(
    program: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, part, arguments in (("hostile", "fuzz", ()), ("kills", "attack", ("--kills", "0"))):
        module = program(name, *arguments)
        monkeypatch.setattr(module, part, lambda *_: ["something broke"])
        assert module.main() == 1
        assert "FAULT: something broke" in capsys.readouterr().out
