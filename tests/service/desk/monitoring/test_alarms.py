"""The drift alarm of a service, from requests to the metric."""

import re
import time

import httpx
import numpy as np
import pytest

from caveat.models.estimates.answer import estimate
from caveat.models.estimates.cohort import Asked
from caveat.models.predictor import Predictor
from caveat.service.desk.batching.scores import Scores, scores
from caveat.service.desk.monitoring.alarms import Alarms
from caveat.service.desk.monitoring.metrics import Metrics
from caveat.training.data.bundled import BUNDLED
from caveat.training.data.dataset import split
from tests.bundles import calibrated, drawn, linear_regression, tabular
from tests.service.serving import TIMEOUT, Service, serving, until


def metric(text: str, name: str) -> float:
    found = re.search(rf"^caveat_{name}{{.*}} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else float("nan")


@pytest.mark.parametrize("workers", [1, 2])
def test_rotated_digits_raise_the_alarm_within_200_rows_and_upright_ones_do_not(workers: int) -> None:
    digits = BUNDLED["digits"]()
    images = digits.fed(split(digits, 0.2, 1).test)[0]["image"]
    rows = np.random.default_rng(0).permutation(images)[: 100 * workers]
    with serving("--workers", str(workers)) as service:
        values: list[float] = []
        for turned in (rows, np.rot90(rows, axes=(1, 2))):
            for start in range(0, len(turned), 10):
                body = {"inputs": turned[start : start + 10].tolist()}
                url = f"{service.url}/predict/uncertainty"  # on connections of their own, for any worker
                assert httpx.post(url, json=body, timeout=TIMEOUT).status_code == 200
                time.sleep(0.06)  # more than 200 rows a second are passed over
            wait_until_tested(service, 100 * workers * (len(values) + 1))
            values.append(metric(service.get("/metrics").text, "drift"))
    assert values[0] < 5
    assert values[1] >= 100


def wait_until_tested(service: Service, rows: int) -> None:
    until(lambda: metric(service.get("/metrics").text, "drift_rows_total") == rows)


def judged(predictor: Predictor, rows: int, asked: Asked | None = None, scale: float = 1.0) -> Scores:
    inputs, _ = drawn(predictor.manifest, rows, seed=5)
    columns = estimate(predictor, {"x": inputs["x"] * np.float32(scale)}, 100, 0)
    return scores(predictor, asked or Asked(100, 0), columns)


def test_only_rows_with_the_options_of_the_calibration_rows_are_tested() -> None:
    metrics = Metrics()
    alarms = Alarms(metrics, workers=1)
    bare, known = Predictor(linear_regression()), Predictor(calibrated(linear_regression()))
    alarms.observe([judged(bare, 5), judged(known, 5, Asked(50, 0)), judged(known, 5, Asked(100, 3))])
    assert metric(metrics.text().decode(), "drift") == 1
    assert metric(metrics.text().decode(), "drift_rows_total") == 0
    alarms.observe([judged(known, 5)])
    assert metric(metrics.text().decode(), "drift_rows_total") == 5


def test_the_rate_of_tested_rows_is_limited() -> None:
    metrics = Metrics()
    alarms = Alarms(metrics, workers=1)
    known = Predictor(calibrated(tabular()))
    for _ in range(3):
        alarms.observe([judged(known, 150)])
    assert 200 <= metric(metrics.text().decode(), "drift_rows_total") < 300


def test_the_alarm_of_a_dropped_model_ends() -> None:
    metrics = Metrics()
    alarms = Alarms(metrics, workers=2)
    known = Predictor(calibrated(linear_regression()))
    alarms.observe([judged(known, 100, scale=50.0)])
    assert metric(metrics.text().decode(), "drift") > 100
    del known
    alarms.observe([])
    assert metric(metrics.text().decode(), "drift") == 0
