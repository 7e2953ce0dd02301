"""What the benchmark on the UCI sets claims, it must be able to deny."""

import json
import multiprocessing
import multiprocessing.dummy
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
QUALITY = BENCHMARKS / "quality"
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(QUALITY))  # the programs import their neighbours
    UCI = runpy.run_path(str(QUALITY / "uci.py"))
REFERENCE = {
    "test_ll": {"mean": -1.0, "standard_error": 0.03},
    "test_MC_rmse": {"mean": 0.5, "standard_error": 0.02},
}


def figures(likelihood: float, rmse: float) -> list[dict[str, float]]:
    """Two splits with these means; the standard error of the log-likelihood is 0.04."""
    return [{"mixture": likelihood + step, "rmse": rmse} for step in (-0.04, 0.04)]


@pytest.mark.parametrize(
    ("name", "likelihood", "rmse", "met"),
    [
        ("boston", -0.99, 0.519, (True, True)),
        ("boston", -1.01, 0.521, (False, False)),
        ("yacht", -0.89, 0.3, (True, True)),  # the standard error of the difference is 0.05
        ("yacht", -0.91, 0.3, (False, True)),
    ],
)
def test_a_likelihood_below_the_reference_or_an_error_above_it_is_missed(
    name: str, likelihood: float, rmse: float, met: tuple[bool, bool]
) -> None:
    found = UCI["bars"](name, figures(likelihood, rmse), REFERENCE)
    assert tuple(found.values()) == met


@pytest.mark.slow
def test_a_split_is_measured_from_its_rows_to_its_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(600, 2))
    y = 10 * x[:, 0] + np.exp(x[:, 1]) * generator.standard_normal(600)
    train, test = np.arange(500)[None], np.arange(500, 600)[None]
    np.savez(tmp_path / "fan.npz", X=x, y=y, train_idx=train, test_idx=test)
    measure = UCI["measure"]
    monkeypatch.setitem(measure.__globals__, "STEPS", 400)
    monkeypatch.setitem(measure.__globals__, "RATES", ((0.0, 0.1), (0.9, 0.1)))
    found = measure(tmp_path / "fan.npz", 0, 50)
    assert found["rates"] == (0.0, 0.1)
    assert found["validation"][0] > found["validation"][1]
    true = stats.norm.logpdf(y[500:], 10 * x[500:, 0], np.exp(x[500:, 1])).mean()
    assert true - 0.3 < found["normal"] < true + 0.05
    assert true - 0.3 < found["mixture"] < true + 0.05
    assert found["rmse"] < 1.6  # the noise's is 1.35
    assert found["deterministic"] < found["mixture"]


FIGURES = {
    "mixture": -1.0,
    "normal": -1.1,
    "deterministic": -1.2,
    "rmse": 0.5,
    "deterministic_rmse": 0.6,
}


@pytest.mark.parametrize("splits", [1, 3])
def test_a_set_that_nobody_else_measured_is_measured_on_the_splits_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], splits: int
) -> None:
    train, test = np.tile(np.arange(40), (splits, 1)), np.tile(np.arange(40, 50), (splits, 1))
    np.savez(
        tmp_path / "Wine.red.npz", X=np.ones((50, 2)), y=np.ones((50, 1)), train_idx=train, test_idx=test
    )
    np.savez(tmp_path / "images.npz", x_train=np.ones(3))
    asked: list[tuple[Path, int, int]] = []

    def measured(*of: Any) -> dict[str, float]:
        asked.append(of)
        return FIGURES

    program = UCI["main"].__globals__
    monkeypatch.setitem(program, "measure", measured)
    monkeypatch.setitem(program, "RESULTS", tmp_path / "results" / "uci.json")
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: multiprocessing.dummy)
    monkeypatch.setattr("sys.argv", ["uci.py", str(tmp_path)])
    assert UCI["main"]() == 0
    assert sorted(asked) == [(tmp_path / "Wine.red.npz", number, 100) for number in range(splits)]
    told = capsys.readouterr().out
    assert f"Wine.red, {splits} split" in told
    assert "reference" not in told
    assert "printed" not in told
    assert "nan" not in told


def test_a_reference_without_the_set_is_none(tmp_path: Path) -> None:
    assert UCI["references"](tmp_path) == {}
    (tmp_path / "reference.json").write_text(json.dumps({"boston": REFERENCE}))
    assert UCI["references"](tmp_path) == {"boston": REFERENCE}
    assert UCI["bars"]("wine", figures(0, 0), None) == {}
