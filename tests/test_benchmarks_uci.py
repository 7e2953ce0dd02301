"""What the benchmark on the UCI sets claims, it must be able to deny."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
UCI = runpy.run_path(str(BENCHMARKS / "quality" / "uci.py"))
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
