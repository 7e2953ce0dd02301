"""Alerts and dashboard: Prometheus and Grafana take them, and they ask for what the service tells."""

import json
import re
import runpy
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.service.serving import TIMEOUT, Service, serving, until

ROOT = Path(__file__).parents[1]
MONITORING = ROOT / "docker" / "monitoring"
PROGRAM = runpy.run_path(str(MONITORING / "dashboard.py"))
BOARD = json.loads(PROGRAM["FILE"].read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
RULES = [
    rule
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="Prometheus is not on this machine (Debian: apt install prometheus)",
)


@prometheus
@pytest.mark.parametrize(
    "arguments",
    ["check config prometheus.yml", "check rules --lint-fatal alerts.yml", "test rules alerts_test.yml"],
)
def test_promtool_accepts(arguments: str) -> None:
    promtool(*arguments.split(), folder=MONITORING)


@prometheus
def test_the_expressions_of_the_dashboard_parse(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{i}", "expr": query} for i, query in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "rules.yml", folder=tmp_path)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in RULES}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_every_alert_says_how_grave_it_is_and_where_to_read_on() -> None:
    headings = {f"docs/operations.md#{name.lower()}" for name in re.findall(r"^### (\w+)$", OPERATIONS, re.M)}
    assert {rule["annotations"]["runbook"] for rule in RULES} == headings
    for rule in RULES:
        assert rule["annotations"]["runbook"].endswith(f"#{rule['alert'].lower()}")
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["for"]
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}


def test_the_dashboard_is_that_of_the_code() -> None:
    assert PROGRAM["FILE"].read_text() == PROGRAM["dashboard"](), "run python docker/monitoring/dashboard.py"


def test_grafana_knows_each_field_of_the_dashboard() -> None:
    register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(BOARD)))
    assert list(missing(BOARD, read)) == []
    known = {value for value in vars(units).values() if isinstance(value, str)}
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS} <= known


def test_panels_lie_side_by_side_and_ask_the_provisioned_source() -> None:
    source = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text())
    (source,) = source["datasources"]
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in PANELS:
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_the_service_tells_every_metric_that_is_asked_for() -> None:
    with serving() as service:
        ask_everything(service)
        told = set(re.findall(r"^(?:# TYPE )?(\w+)", service.get("/metrics").text, re.MULTILINE))
    asked = {name for query in queries() for name in re.findall(r"\b(?:caveat|process)_\w+", query)}
    asked |= {name for rule in RULES for name in re.findall(r"\b(?:caveat|process)_\w+", rule["expr"])}
    assert asked - told == set()


@prometheus
@pytest.mark.slow
def test_each_panel_shows_something_and_no_alert_rings(tmp_path: Path) -> None:
    with serving() as service, scraping(service, tmp_path) as asked:
        end = time.monotonic() + 12
        while time.monotonic() < end:
            ask_everything(service)
            time.sleep(0.2)

        def all_show_something() -> bool:
            ask_everything(service)
            return all(asked("query", query=query)["result"] for query in queries())

        def rules() -> dict[str, Any]:
            groups = asked("rules", type="alert")["groups"]
            return {rule["name"]: rule for group in groups for rule in group["rules"]}

        until(all_show_something)
        until(lambda: {rule["health"] for rule in rules().values()} == {"ok"})
        found = rules()
    assert len(found) == len(RULES)
    ringing = {name for name, rule in found.items() if rule["state"] != "inactive"}
    assert ringing <= {"CaveatDriftSuspected", "CaveatDrift"}  # one row again and again is drift


def queries() -> list[str]:
    """List the expressions of all panels, with values for Grafana's variables."""
    return [
        target["expr"].replace("$model", ".*").replace("$__rate_interval", "10s")
        for panel in PANELS
        for target in panel["targets"]
    ]


def ask_everything(service: Service) -> None:
    """Ask for one of each kind of answer."""
    row = [[0.0] * 8] * 8
    service.ask("/predict", inputs=[row])
    service.ask("/predict/uncertainty", inputs=[row], coverage=0.9, max_error=0.05)


@contextmanager
def scraping(service: Service, folder: Path) -> Iterator[Callable[..., Any]]:
    """Run Prometheus beside a service, until the block ends; give a way to ask its API."""
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [service.client.base_url.netloc.decode()]}]
    (folder / "prometheus.yml").write_text(json.dumps(config))
    shutil.copy(MONITORING / "alerts.yml", folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address={address}"]
    command.append("--storage.tsdb.path=data")  # Debian's default is one folder for all
    with (
        subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as process,
        httpx.Client(
            base_url=f"http://{address}", transport=httpx.HTTPTransport(retries=6), timeout=TIMEOUT
        ) as client,
    ):

        def ask(path: str, **parameters: str) -> Any:
            return client.get(f"/api/v1/{path}", params=parameters).raise_for_status().json()["data"]

        try:
            yield ask
        finally:
            process.terminate()


def missing(expected: Any, found: Any, path: str = "") -> Any:
    """List what is in one JSON document and not, or not the same, in the other."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name, value in expected.items():
            yield from missing(value, found.get(name), f"{path}/{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for i, value in enumerate(expected):
            yield from missing(value, found[i], f"{path}/{i}")
    elif expected != found:
        yield path


def promtool(*arguments: str, folder: Path) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
