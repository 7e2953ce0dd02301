"""Write the dashboard that Grafana shows: ``python docker/monitoring/dashboard.py``."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "grafana" / "dashboards" / "caveat.json"

Panel = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS = 24
MODEL = 'model=~"$model"'
ASKED = f'{MODEL},route!~"/health/.*|/metrics"'
PREDICTIONS = 'route=~".*/predict.*"'
VERSION = "{{model}} {{version}}"


def panel(
    kind: str, title: str, width: int, height: int, description: str, queries: list[dict[str, str]], unit: str
) -> Panel:
    """Make what all panels have."""
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "targets": [{"refId": chr(ord("A") + i), **query} for i, query in enumerate(queries)],
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
    }


def number(
    title: str, unit: str, query: str, description: str, colours: dict[float, str] | None = None
) -> Panel:
    """Show the present value, green, or from a value on in another colour."""
    made = panel("stat", title, 3, 4, description, [{"expr": query}], unit)
    made["fieldConfig"]["defaults"]["thresholds"] = steps(colours or {})
    made["options"] = {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
    }
    return made


def graph(
    title: str,
    unit: str,
    queries: dict[str, str],
    description: str,
    lines: dict[float, str] | None = None,
    **custom: Any,
) -> Panel:
    """Draw queries over time, by their legends; with lines across at some values."""
    shown = [{"expr": query, "legendFormat": legend} for legend, query in queries.items()]
    made = panel("timeseries", title, 8, 8, description, shown, unit)
    defaults = made["fieldConfig"]["defaults"]
    defaults["custom"] = {"fillOpacity": 10, "showPoints": "never", **custom}
    if lines:
        defaults["thresholds"] = steps(lines)
        defaults["custom"]["thresholdsStyle"] = {"mode": "line"}
    made["options"] = {"tooltip": {"mode": "multi", "sort": "desc"}}
    return made


def heatmap(title: str, histogram: str, description: str) -> Panel:
    """Colour how many rows fall into each bucket."""
    query = f"sum by (le) (increase({histogram}_bucket{{{MODEL}}}[$__rate_interval]))"
    shown = {"expr": query, "legendFormat": "{{le}}", "format": "heatmap"}
    made = panel("heatmap", title, 8, 8, description, [shown], "short")
    made["options"] = {
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "tooltip": {"mode": "single", "yHistogram": True},
    }
    return made


def steps(colours: dict[float, str]) -> Panel:
    """Say from which value on a colour stands."""
    higher = [{"color": colour, "value": value} for value, colour in colours.items()]
    return {"mode": "absolute", "steps": [{"color": "green", "value": None}, *higher]}


def per_second(counter: str, by: str, selector: str = MODEL) -> str:
    """Sum the rates of a counter."""
    return f"sum by ({by}) (rate({counter}{{{selector}}}[$__rate_interval]))"


def share(part: str, whole: str, selector: str = MODEL) -> str:
    """Divide the rate of one counter, of some of its series, by that of another, for each version."""
    return f"{per_second(part, 'model, version', selector)} / {per_second(whole, 'model, version')}"


def quantile(part: float, histogram: str, selector: str = "") -> str:
    """Read a quantile off the buckets."""
    return f"histogram_quantile({part}, {per_second(f'{histogram}_bucket', 'le', selector)})"


def quantiles(histogram: str, selector: str = "") -> dict[str, str]:
    """Show how long most, and how long the slowest take."""
    return {f"p{100 * part:.0f}": quantile(part, histogram, selector) for part in (0.5, 0.95, 0.99)}


def typical(histogram: str) -> dict[str, str]:
    """Show the mean and what few exceed."""
    total, count = (f"sum(rate({histogram}_{end}[$__rate_interval]))" for end in ("sum", "count"))
    return {"mean": f"{total} / {count}", "p95": quantile(0.95, histogram)}


ROWS = {
    "Now": [
        number("Services", "none", 'sum(up{job="caveat"})', "Those that Prometheus reaches."),
        number(
            "Requests", "reqps", f"sum(rate(caveat_requests_total{{{ASKED}}}[$__rate_interval]))", "A second."
        ),
        number(
            "5xx",
            "percentunit",
            f'(sum(rate(caveat_requests_total{{{ASKED},code=~"5.."}}[$__rate_interval])) or vector(0))'
            f" / sum(rate(caveat_requests_total{{{ASKED}}}[$__rate_interval]))",
            "Share of all answers.",
            {0.01: "red"},
        ),
        number(
            "Time, p99",
            "s",
            quantile(0.99, "caveat_request_seconds", PREDICTIONS),
            "In which 99 of 100 predictions are answered.",
            {1: "red"},
        ),
        number(
            "Withheld",
            "percentunit",
            f"sum(increase(caveat_abstained_rows_total{{{MODEL}}}[1h]))"
            f" / sum(increase(caveat_judged_rows_total{{{MODEL}}}[1h]))",
            "Share of the rows of an hour, asked with max_error, whose answers are withheld.",
        ),
        number(
            "Drift",
            "short",
            f"max(caveat_drift{{{MODEL}}})",
            "Of the model that has drifted most: 20 is suspicious, 100 all but certain.",
            {20: "orange", 100: "red"},
        ),
        number(
            "Failing versions",
            "none",
            f"sum(max by (model, version) (caveat_model_failing{{{MODEL}}})) or vector(0)",
            "Versions in the store that can't be loaded.",
            {1: "orange"},
        ),
        number(
            "Alerts",
            "none",
            'sum(ALERTS{alertstate="firing"}) or vector(0)',
            "Those that fire; docs/operations.md says what to do.",
            {1: "red"},
        ),
    ],
    "Traffic": [
        graph(
            "Answers by code",
            "reqps",
            {"{{code}}": per_second("caveat_requests_total", "code", ASKED)},
            "429: no room, 504: out of time.",
            stacking={"mode": "normal", "group": "A"},
        ),
        graph("Rows", "rowsps", {VERSION: per_second("caveat_rows_total", "model, version")}, "Answered."),
        graph(
            "Passes",
            "cps",
            {VERSION: per_second("caveat_passes_total", "model, version")},
            "Made; each row counted by itself.",
        ),
    ],
    "Latency": [
        graph(
            "Total",
            "s",
            quantiles("caveat_request_seconds", PREDICTIONS),
            "From the head of a request to the end of its answer. Of all models.",
        ),
        graph("Queue", "s", quantiles("caveat_queue_seconds", MODEL), "Until the first turn of the engine."),
        graph("Compute", "s", quantiles("caveat_compute_seconds", MODEL), "From the first turn to the last."),
    ],
    "Batching": [
        graph(
            "Rows of a turn", "short", typical("caveat_batch_rows"), "That went through the engine together."
        ),
        graph("Passes of a turn", "short", typical("caveat_batch_passes"), "Over all of its rows."),
        graph(
            "Fill of a turn",
            "percentunit",
            typical("caveat_batch_fill"),
            "The part of a turn's budget that was used. Near 1: the engine has all the work that it can do.",
        ),
    ],
    "Admission": [
        graph(
            "Requests",
            "short",
            {"admitted": "sum(caveat_admitted_requests)", "queued": "sum(caveat_queued_requests)"},
            "Let in, and those of them that wait. --max-pending is the most.",
        ),
        graph(
            "Work",
            "short",
            {"passes": "sum(caveat_admitted_passes)", "bytes": "sum(caveat_admitted_bytes)"},
            "Of the requests that are let in. --max-pending-passes is the most.",
        ),
        graph(
            "Without an answer",
            "reqps",
            {
                name: f"sum(rate(caveat_{name}_total[$__rate_interval]))"
                for name in ("rejected", "expired", "cancelled")
            },
            "Refused for lack of room, out of time, or left by the client.",
        ),
    ],
    "Uncertainty": [
        heatmap(
            "Predictive entropy",
            "caveat_predictive_entropy_nats",
            "Of each row, in nats: 0 is certain. Classifications only.",
        ),
        heatmap(
            "Mutual information",
            "caveat_mutual_information_nats",
            "Of each row, in nats: rises where rows are unlike those of the training. Classifications only.",
        ),
        heatmap(
            "Percentile",
            "caveat_percentile",
            "Of a row's uncertainty among the calibration rows: even for rows like those.",
        ),
    ],
    "Trust": [
        graph(
            "Above the 95th percentile",
            "percentunit",
            {
                VERSION: "1 - "
                + share("caveat_percentile_bucket", "caveat_percentile_count", f'{MODEL},le="95.0"')
            },
            "Share of rows less certain than 95 % of the calibration rows: 5 % for rows like those.",
            {0.15: "orange"},
        ),
        graph(
            "Withheld",
            "percentunit",
            {VERSION: share("caveat_abstained_rows_total", "caveat_judged_rows_total")},
            "Share of the rows, asked with max_error, whose answers are withheld.",
        ),
        graph(
            "Drift",
            "short",
            {VERSION: f"max by (model, version) (caveat_drift{{{MODEL}}})"},
            "For rows like those of the calibration, the chance that it ever reaches 20 is 1 in 20 at most,"
            " 100: 1 in 100.",
            {20: "orange", 100: "red"},
            scaleDistribution={"type": "log", "log": 10},
        ),
    ],
    "Models": [
        graph(
            "Versions",
            "none",
            {
                "loaded": f"sum(max by (model, version) (caveat_model_loaded{{{MODEL}}}))",
                "failing": f"sum(max by (model, version) (caveat_model_failing{{{MODEL}}})) or vector(0)",
            },
            "In the store, loaded or not to be loaded.",
        ),
        graph(
            "Time to load",
            "s",
            {
                "{{model}}": f"sum by (model) (caveat_model_load_seconds_sum{{{MODEL}}})"
                f" / sum by (model) (caveat_model_load_seconds_count{{{MODEL}}})",
            },
            "Mean over all versions so far.",
        ),
        graph(
            "Memory",
            "bytes",
            {"{{instance}}": 'process_resident_memory_bytes{job="caveat"}'},
            "That a service of one worker holds; those of several don't tell.",
        ),
    ],
}


def laid_out() -> list[Panel]:
    """Give each panel its number and its place: those of a row side by side, below its title."""
    placed: list[Panel] = []
    y = 0
    for title, panels in ROWS.items():
        heading = {"type": "row", "title": title, "gridPos": {"w": COLUMNS, "h": 1}, "panels": []}
        x = 0
        for made in (heading, *panels):
            made["gridPos"] |= {"x": x % COLUMNS, "y": y}
            placed.append({"id": len(placed) + 1, **made})
            x += made["gridPos"]["w"]
            y += made["gridPos"]["h"] if x % COLUMNS == 0 else 0
    return placed


def dashboard() -> str:
    """Render the dashboard as Grafana reads it."""
    board = {
        "uid": "caveat",
        "title": "Caveat",
        "tags": ["caveat"],
        "schemaVersion": 41,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {
                    "type": "query",
                    "name": "model",
                    "label": "Model",
                    "datasource": SOURCE,
                    "query": {"query": "label_values(caveat_requests_total, model)", "refId": "models"},
                    "refresh": 2,
                    "sort": 1,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                }
            ]
        },
        "panels": laid_out(),
    }
    return json.dumps(board, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(dashboard())
