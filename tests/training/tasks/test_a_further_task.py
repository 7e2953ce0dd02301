"""A further task is one file for the models and one for training, and no edit anywhere else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("life")
    command = [sys.executable, "-m", "tests.toy.life", str(home)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_the_commands_list_it_with_its_kinds_and_defaults(life: dict[str, Any]) -> None:
    train, export = life["help"]
    assert "--task {classification,counts,regression}" in train
    assert "0.001 for a classification, 0.002 for a counts and 0.005 for a regression" in train
    assert "for a counts 32 for mlp" in train
    assert "--outputs {logits,probabilities,log_rate,mean,mean_log_variance}" in export
    assert "the logarithm of a rate (rows)" in export


def test_it_is_trained_with_its_defaults_and_exported(life: dict[str, Any]) -> None:
    assert life["hidden"] == [32]
    assert list(life["metrics"]) == ["mean_error"]
    assert f"mean_error              {life['metrics']['mean_error']:.4g}" in life["report"]
    assert life["outputs"] == ["rate", "rate"]


def test_it_is_calibrated_and_evaluated_with_a_card(life: dict[str, Any]) -> None:
    assert life["calibrated"] == [True, True]
    assert "calibrated on 120 rows" in life["report"]
    for line in ("Monte Carlo ", "without dropout ", "held at 90%", "variance "):
        assert f"\n  {line}" in life["figures"]
    assert "Predicts the number of y, with the uncertainty of each answer." in life["card"]
    assert "Coverage of the intervals" in life["card"]
    assert life["card"].count("<svg") == 4


def test_it_answers_with_the_columns_that_it_has_and_says_why_one_is_missing(life: dict[str, Any]) -> None:
    names = ("mean", "variance", "standard_error", "passes", "percentile")
    assert life["columns"] == {name: [1000] for name in names}
    assert life["decided"] == ["interval"]
    assert life["notes"] == {"quantiles": "a count lies between no others"}
    assert life["error"] < 0.6 * life["blind"]
    assert 0.85 < life["held"] < 0.95
