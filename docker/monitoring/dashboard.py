"""Write Grafana's dashboard: ``python docker/monitoring/dashboard.py``."""

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
    """Make a panel with the fields that all kinds have."""
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
    """Show the present value in green, or above thresholds in other colours."""
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
    """Draw queries over time, by their legends, with horizontal lines at some values."""
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
    """Show how many rows fall into each bucket, as colours over time."""
    query = f"sum by (le) (increase({histogram}_bucket{{{MODEL}}}[$__rate_interval]))"
    shown = {"expr": query, "legendFormat": "{{le}}", "format": "heatmap"}
    made = panel("heatmap", title, 8, 8, description, [shown], "short")
    made["options"] = {
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "tooltip": {"mode": "single", "yHistogram": True},
    }
    return made


def steps(colours: dict[float, str]) -> Panel:
    """Make the thresholds from which the colours apply."""
    higher = [{"color": colour, "value": value} for value, colour in colours.items()]
    return {"mode": "absolute", "steps": [{"color": "green", "value": None}, *higher]}


def per_second(counter: str, by: str, selector: str = MODEL) -> str:
    """Sum the rates of a counter."""
    return f"sum by ({by}) (rate({counter}{{{selector}}}[$__rate_interval]))"


def share(part: str, whole: str, selector: str = MODEL) -> str:
    """Divide the rate of ``part`` over selected series by the rate of ``whole``, for each version."""
    return f"{per_second(part, 'model, version', selector)} / {per_second(whole, 'model, version')}"


def quantile(part: float, histogram: str, selector: str = "") -> str:
    """Estimate a quantile from the buckets of a histogram."""
    return f"histogram_quantile({part}, {per_second(f'{histogram}_bucket', 'le', selector)})"


def quantiles(histogram: str, selector: str = "") -> dict[str, str]:
    """Query the median, the 95th and the 99th percentile."""
    return {f"p{100 * part:.0f}": quantile(part, histogram, selector) for part in (0.5, 0.95, 0.99)}


def typical(histogram: str) -> dict[str, str]:
    """Query the mean and the 95th percentile."""
    total, count = (f"sum(rate({histogram}_{end}[$__rate_interval]))" for end in ("sum", "count"))
    return {"mean": f"{total} / {count}", "p95": quantile(0.95, histogram)}


ROWS = {
    "Now": [
        number("Services", "none", 'sum(up{job="caveat"})', "Services that Prometheus reaches."),
        number(
            "Requests",
            "reqps",
            f"sum(rate(caveat_requests_total{{{ASKED}}}[$__rate_interval]))",
            "Requests per second.",
        ),
        number(
            "5xx",
            "percentunit",
            f'(sum(rate(caveat_requests_total{{{ASKED},code=~"5.."}}[$__rate_interval])) or vector(0))'
            f" / sum(rate(caveat_requests_total{{{ASKED}}}[$__rate_interval]))",
            "Fraction of all answers.",
            {0.01: "red"},
        ),
        number(
            "Time, p99",
            "s",
            quantile(0.99, "caveat_request_seconds", PREDICTIONS),
            "Time within which 99 % of predictions are answered.",
            {1: "red"},
        ),
        number(
            "Withheld",
            "percentunit",
            f"sum(increase(caveat_abstained_rows_total{{{MODEL}}}[1h]))"
            f" / sum(increase(caveat_judged_rows_total{{{MODEL}}}[1h]))",
            "Fraction of withheld answers among the rows with a max_error, in the last hour.",
        ),
        number(
            "Drift",
            "short",
            f"max(caveat_drift{{{MODEL}}})",
            "Drift value of the model that drifted most: 20 is suspicious, 100 nearly certain.",
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
            "Alerts that fire; docs/operations.md says what to do.",
            {1: "red"},
        ),
    ],
    "Traffic": [
        graph(
            "Answers by code",
            "reqps",
            {"{{code}}": per_second("caveat_requests_total", "code", ASKED)},
            "429: the service is full; 504: the deadline has passed.",
            stacking={"mode": "normal", "group": "A"},
        ),
        graph(
            "Rows",
            "rowsps",
            {VERSION: per_second("caveat_rows_total", "model, version")},
            "Rows answered per second.",
        ),
        graph(
            "Passes",
            "cps",
            {VERSION: per_second("caveat_passes_total", "model, version")},
            "Passes made per second, summed over the rows.",
        ),
    ],
    "Latency": [
        graph(
            "Total",
            "s",
            quantiles("caveat_request_seconds", PREDICTIONS),
            "From the head of a request to the end of its answer, over all models.",
        ),
        graph(
            "Queue",
            "s",
            quantiles("caveat_queue_seconds", MODEL),
            "Time in the queue, until the first turn of the engine.",
        ),
        graph(
            "Compute",
            "s",
            quantiles("caveat_compute_seconds", MODEL),
            "From the first turn of a request's rows to the last.",
        ),
    ],
    "Batching": [
        graph(
            "Rows of a turn",
            "short",
            typical("caveat_batch_rows"),
            "Rows that the engine runs together.",
        ),
        graph(
            "Passes of a turn",
            "short",
            typical("caveat_batch_passes"),
            "Passes that the engine runs together, summed over the rows.",
        ),
        graph(
            "Fill of a turn",
            "percentunit",
            typical("caveat_batch_fill"),
            "Fraction of a turn's capacity that was used. Near 1, the engine is saturated.",
        ),
    ],
    "Admission": [
        graph(
            "Requests",
            "short",
            {"admitted": "sum(caveat_admitted_requests)", "queued": "sum(caveat_queued_requests)"},
            "Admitted requests, and those of them that are queued. The limit is --max-pending.",
        ),
        graph(
            "Work",
            "short",
            {"passes": "sum(caveat_admitted_passes)", "bytes": "sum(caveat_admitted_bytes)"},
            "Passes and bytes of the admitted requests. The limit on passes is --max-pending-passes.",
        ),
        graph(
            "Without an answer",
            "reqps",
            {
                name: f"sum(rate(caveat_{name}_total[$__rate_interval]))"
                for name in ("rejected", "expired", "cancelled")
            },
            "Refused by a full service, past the deadline, or cancelled because the client left.",
        ),
    ],
    "Uncertainty": [
        heatmap(
            "Predictive entropy",
            "caveat_predictive_entropy_nats",
            "Predictive entropy of each row, in nats: 0 is certain. Classifications only.",
        ),
        heatmap(
            "Mutual information",
            "caveat_mutual_information_nats",
            "Mutual information of each row, in nats: higher for rows unlike the training rows."
            " Classifications only.",
        ),
        heatmap(
            "Percentile",
            "caveat_percentile",
            "Percentile of each row's uncertainty among the calibration rows: uniform for rows like those.",
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
            "Fraction of rows less certain than 95 % of the calibration rows: 5 % for rows like those.",
            {0.15: "orange"},
        ),
        graph(
            "Withheld",
            "percentunit",
            {VERSION: share("caveat_abstained_rows_total", "caveat_judged_rows_total")},
            "Fraction of withheld answers among the rows with a max_error.",
        ),
        graph(
            "Drift",
            "short",
            {VERSION: f"max by (model, version) (caveat_drift{{{MODEL}}})"},
            "For rows like the calibration rows, the chance of ever reaching 20 is at most 1 in 20, and of"
            " ever reaching 100 at most 1 in 100.",
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
            "Versions that are loaded, and versions in the store that can't be loaded.",
        ),
        graph(
            "Time to load",
            "s",
            {
                "{{model}}": f"sum by (model) (caveat_model_load_seconds_sum{{{MODEL}}})"
                f" / sum by (model) (caveat_model_load_seconds_count{{{MODEL}}})",
            },
            "Mean time to verify, load and warm up a version, over all versions so far.",
        ),
        graph(
            "Memory",
            "bytes",
            {"{{instance}}": 'process_resident_memory_bytes{job="caveat"}'},
            "Memory of services with one worker; services with several workers don't report it.",
        ),
    ],
}


def laid_out() -> list[Panel]:
    """Give each panel its id and its place: the panels of a row side by side, below the row's title."""
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
    """Render the dashboard as Grafana's JSON."""
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
