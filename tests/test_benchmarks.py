"""What the benchmarks claim, they must be able to deny."""

import doctest
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Import a program, with a folder of its own for the results and these arguments."""

    def program(name: str, *arguments: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        monkeypatch.setattr(importlib.import_module("report"), "RESULTS", tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        return importlib.import_module(name)

    return program


def written(folder: Path, name: str) -> Any:
    """Read the figures that a program wrote, beside the name of the machine and, if it can be, a plot."""
    assert (folder / f"{name}.svg").exists() == bool(importlib.util.find_spec("matplotlib"))
    results = json.loads((folder / f"{name}.json").read_text())
    assert results["processor"]
    assert results["cores"]
    return results["figures"]


@pytest.mark.parametrize(("figures", "code"), [((0.9, 149.0), 0), ((1.1, 149.0), 1), ((0.9, 151.0), 1)])
def test_a_missed_bar_is_an_exit_code(
    figures: tuple[float, float],
    code: int,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    startup = program("startup", "--rounds", "1")
    monkeypatch.setattr(startup, "measure", lambda samples, *store: figures)
    assert startup.main() == code
    assert "process start to ready" in capsys.readouterr().out
    assert written(tmp_path, "startup")["ready_seconds"] == figures[0]


@pytest.mark.slow
def test_monitoring_is_held_to_its_bar(
    program: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monitoring = program("monitoring", "--starts", "2", "--seconds", "0.1")
    monkeypatch.setattr(monitoring, "BAR", float("inf"))
    assert monitoring.main() == 1
    assert capsys.readouterr().out.count("bar inf: missed") == 2
    figures = json.loads((tmp_path / "monitoring.json").read_text())["figures"]
    assert all(figures[workers]["bare"] > 0 for workers in ("1", "2"))


@pytest.mark.slow
def test_scaling_measures_all_that_grows(
    program: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scaling = program("scaling", "--seconds", "0.1")
    small = {"NETS": {"8-16-2": (8, 16, 2)}, "SAMPLES": (10, 20), "ROWS": (1, 5), "WIDTHS": (8,)}
    for name, value in {**small, "CONNECTIONS": (1, 2), "WORKERS": (1,), "THREADS": (2,)}.items():
        monkeypatch.setattr(scaling, name, value)
    scaling.main()
    figures = written(tmp_path, "scaling")
    assert {name: list(next(iter(series.values()))) for name, series in figures.items()} == {
        "samples": ["10", "20"],
        "rows": ["1", "5"],
        "connections": ["1", "2"],
        "width": ["8"],
        "workers": ["1 x 2"],
    }
    costs = [cost for series in figures.values() for line in series.values() for cost in line.values()]
    assert min(costs) > 0
    assert "ms against rows" in capsys.readouterr().out


@pytest.mark.slow
def test_no_client_notices_a_rollout(program: Any, tmp_path: Path) -> None:
    numbers = ("--versions", "12", "--damaged", "3", "--flips", "6", "--seconds", "0.2")
    assert program("rollout", *numbers).main() == 0
    results = json.loads((tmp_path / "rollout.json").read_text())["figures"]
    for workers in ("1", "2"):
        found = results[workers]
        assert (found["failed"], found["wrong"], found["answers"] > 100) == (0, 0, True)
        assert (found["loaded"], found["refused"], found["flips"]) == (9, 3, 6)
        assert found["versions_that_answered"] > 5


@pytest.mark.parametrize(
    ("route", "asked", "version", "allowed"),
    [
        (0, 1.0, 1, True),
        (0, 2.0, 2, False),  # not there yet
        (0, 5.0, 1, False),  # there was a newer one
        (0, 4.0, 1, True),  # which may not have been everywhere
        (0, 4.0, 2, True),
        (0, 9.0, 2, False),  # gone
        (0, 9.0, 1, True),
        (0, 1.0, 3, False),  # never there
        (1, 3.0, 1, True),
        (1, 3.0, 2, False),  # the alias was moved later
        (1, 6.5, 1, True),
        (1, 6.5, 2, True),
        (1, 7.5, 1, False),  # the alias was moved earlier
    ],
)
def test_answers_of_the_wrong_version_are_noticed(
    program: Any, route: int, asked: float, version: int, allowed: bool
) -> None:
    rollout = program("rollout")
    lives = {1: rollout.Life(0.0, 0.0), 2: rollout.Life(3.5, 4.5, 8.0, 8.5)}
    timeline = rollout.Timeline(lives, [(0.0, 0.5, 1), (6.0, 7.0, 2)])
    assert timeline.allows(rollout.Answer(rollout.ROUTES[route], asked, asked + 0.1, version)) == allowed


@pytest.mark.slow
def test_memory_tells_what_workers_and_versions_add(
    program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory = program("memory", "--versions", "2", "--workers", "2", "--seconds", "0.1")
    monkeypatch.setattr(memory, "NETS", {"784-512-10": (784, 512, 10)})
    memory.main()
    figures = json.loads((tmp_path / "memory.json").read_text())["figures"]["784-512-10"]
    assert 40 < figures["one worker, one version"] < 400
    assert 0 < figures["each further version"] < 40
    assert 0 < figures["each further worker"] < figures["one worker, one version"]


@pytest.mark.slow
def test_passes_are_measured_beside_both_ways_of_pytorch(
    program: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ("--networks", "mlp", "--rows", "1", "3", "--rounds", "1", "--bundles", str(tmp_path))
    program("passes", *asked).main()
    cells = written(tmp_path, "passes")["1"]["784-128-10"]
    assert list(cells) == ["1", "3"]
    for cell in cells.values():
        better = min(cell["loop"]["cpu"], cell["tiled"]["cpu"])
        assert cell["ratio"]["cpu"] == pytest.approx(better / cell["caveat"]["cpu"])
        assert min(cell[side]["cpu"] for side in ("kept", "draws", "caveat")) > 0
    assert capsys.readouterr().out.count("| 784-128-10 |") == 2


def test_the_mean_and_the_least_ratio_are_those_of_the_cells(program: Any) -> None:
    ratios = {"net": {"1": 2.0, "8": 8.0}, "encoder, 128 tokens": {"8": 0.5}}
    cells = {
        net: {rows: {"ratio": {"cpu": ratio}} for rows, ratio in of.items()} for net, of in ratios.items()
    }
    told = program("passes").summary(cells)
    assert "geometric mean 2.00, least 0.50 (encoder, 128 tokens, 8 rows)" in told
    assert told.endswith("encoder, 8 rows: 0.50")


def test_a_load_is_told_in_multiples_of_the_weights(program: Any, tmp_path: Path) -> None:
    weights = program("weights", "--rounds", "1", str(BENCHMARKS.parent / "models" / "bundled" / "digits"))
    weights.main()
    figures = json.loads((tmp_path / "weights.json").read_text())["figures"]["digits/1"]
    parameters = 64 * 128 + 128 + 128 * 10 + 10
    assert 4 * parameters <= figures["weights"] < 4 * parameters + 100
    assert figures["bundle"] > 1
    assert figures["peak"] >= figures["rss"]


def test_a_jackknifed_mean_has_the_standard_error_of_a_mean(program: Any) -> None:
    jackknife = program("jackknife")
    assert doctest.testmod(jackknife) == (0, 4)
    values = np.random.default_rng(0).normal(size=50)
    mean = jackknife.jackknife(lambda average: average, values)
    assert mean.value == pytest.approx(values.mean())
    assert mean.error == pytest.approx(values.std(ddof=1) / np.sqrt(50))


def test_the_standard_error_of_a_ratio_has_the_part_of_its_truth(program: Any) -> None:
    """By the delta method, the squares of the relative errors of two independent means add up."""
    generator = np.random.default_rng(0)
    one, other = generator.normal(5, 1, size=(2, 4000))
    ratio = program("jackknife").jackknife(lambda one, other: one / other, one, other)
    relative = np.hypot(*(each.std() / each.mean() / np.sqrt(4000) for each in (one, other)))
    assert ratio.error == pytest.approx(ratio.value * relative, rel=0.05)


def test_a_figure_outside_its_bounds_is_an_exit_code(
    program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    jackknife = program("jackknife")
    figure = jackknife.Figure(1.5, 0.1)
    assert jackknife.told(figure.misses("cell", 1.0, 1.2)) == 0  # three standard errors beyond
    assert jackknife.told(figure.misses("cell", 1.0, 1.0)) == 1
    assert "cell: 1.50000 ± 0.10000" in capsys.readouterr().out


def test_the_bias_of_a_stratified_variance_is_within_what_correlations_of_passes_allow(program: Any) -> None:
    bounds = program("sampling").bounds
    assert bounds(25) == pytest.approx((-1 / 576, 1 / 24))
    assert bounds(10) == bounds(25)
    assert bounds(100)[1] == pytest.approx(1 / 99)
    assert bounds(26)[1] < 1 / 25


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sampling", "stopping", "entropies", "stated"])
def test_the_exactness_of_passes_is_within_its_bounds(
    name: str, program: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert program(name, "mlp", "--seeds", "10", "--rows", "6", "--epochs", "2").main() == 0
    assert capsys.readouterr().out.count("±") >= 5
    assert json.loads((tmp_path / f"{name}.json").read_text())["figures"]["mlp"]


@pytest.mark.parametrize(
    ("name", "above"), [("seconds", 301.0), ("megabytes", 2001.0), ("ratio", 1.021), ("rmse", 1e9)]
)
def test_training_on_a_large_table_is_held_to_its_bars(
    name: str, above: float, program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = program("table", "mixed")
    figures = {"seconds": 299.0, "megabytes": 1999.0, "ratio": 1.02, "rmse": 1.0}
    monkeypatch.setattr(table, "measure", lambda *asked: figures)
    assert table.main() == 0
    figures[name] = above
    assert table.main() == (name != "rmse")
    assert json.loads((tmp_path / "table.json").read_text())["figures"] == {"mixed": figures}


def test_the_large_tables_have_13_columns_and_more_than_noise(program: Any) -> None:
    table = program("table")
    for name, make in table.TABLES.items():
        frame, again = (make(np.random.default_rng(3), 200) for _ in range(2))
        assert frame.equals(again), name
        assert frame.columns == [*(f"x{place}" for place in range(13)), "y"]
        assert np.isfinite(frame["y"].to_numpy()).all()


def test_the_memory_and_time_of_a_command_are_its_own(
    program: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    spent = program("table").run("--help")
    assert "caveat COMMAND" in capfd.readouterr().out
    assert 10 < spent.megabytes < 10_000
    assert spent.cpu_seconds > 0
    with pytest.raises(SystemExit, match="caveat train --nothing ended with"):
        program("table").run("train", "--nothing")
