"""What monitoring costs: answers per second with records, metrics, log lines and a scraper, and without.

Two services with the same calibrated network run side by side and are loaded in short turns, so that a
machine whose speed drifts is as fast for both; the figure is the median, over the rounds, of their ratio
within a round. Prometheus's part is played by a scrape in every turn, of which there are more than it makes.
Needs the training extra.
"""

import statistics
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import Any

from judging import calibrated
from load import closed, rows_of
from overload import serving
from report import parser, write

ROUTE = "/predict/uncertainty"
BAR = 0.95
UNMONITORED = (sys.executable, str(Path(__file__).with_name("unmonitored.py")))


def main() -> int:
    """Measure, print, and write JSON; tell whether the bar was missed."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=40, help="times to measure, in turn (default: 40)")
    arguments.add_argument("--seconds", type=float, default=1, help="seconds of each load (default: 1)")
    options = arguments.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        body = rows_of([calibrated(Path(scratch))], samples=100)
        for workers in (1, 2):
            flags = ("--workers", str(workers))
            with (
                serving(Path(scratch), *flags) as monitored,
                serving(Path(scratch), *flags, program=UNMONITORED) as bare,
            ):
                figures[str(workers)] = compare(
                    monitored.url, bare.url, body, options.rounds, options.seconds
                )
            print(f"{workers} workers: {told(figures[str(workers)])}", flush=True)
    write("monitoring", figures)
    return int(any(figure["ratio"] < BAR for figure in figures.values()))


def compare(monitored: str, bare: str, body: bytes, rounds: int, seconds: float) -> dict[str, float]:
    """Load both in turn; who begins changes from round to round."""
    rates: dict[str, list[float]] = {monitored: [], bare: []}
    for number in range(rounds):
        for url in (monitored, bare) if number % 2 else (bare, monitored):
            closed(url + ROUTE, body, 32, 0.2)
            scraper = threading.Timer(seconds / 2, scrape, (url,))
            if url == monitored:
                scraper.start()
            rates[url].append(closed(url + ROUTE, body, 32, seconds).rate)
            scraper.cancel()
    ratios = [rate / base for rate, base in zip(rates[monitored], rates[bare], strict=True)]
    quarters = statistics.quantiles(ratios, n=4)
    return {
        "monitored": statistics.median(rates[monitored]),
        "bare": statistics.median(rates[bare]),
        "ratio": statistics.median(ratios),
        "lower_quartile": quarters[0],
        "upper_quartile": quarters[2],
    }


def scrape(url: str) -> None:
    """Ask for the metrics as Prometheus does."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        answer.read()


def told(figure: dict[str, float]) -> str:
    """Write a figure out."""
    met = "met" if figure["ratio"] >= BAR else "missed"
    return (
        f"{figure['monitored']:.0f} answers per second with monitoring, {figure['bare']:.0f} without; ratio "
        f"{figure['ratio']:.3f} (quartiles {figure['lower_quartile']:.3f}, {figure['upper_quartile']:.3f}; "
        f"bar {BAR}: {met})"
    )


if __name__ == "__main__":
    raise SystemExit(main())
