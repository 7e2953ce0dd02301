"""The cost of monitoring: answers per second with records, metrics, log lines and a scraper, and without.

Two services with the same calibrated network run side by side and are loaded in short turns, so that drifts
in the machine's speed affect both alike. A process is up to 5 % faster or slower than another of the same
program for as long as it lives, depending on the layout of its memory. So both are started many times, and
the figure is the median, over the starts, of their ratio. A scrape in every turn stands for Prometheus,
which scrapes less often. Needs the training extra.
"""

import statistics
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
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
    """Measure, print, and write JSON; return 1 if the bar is missed."""
    arguments = parser(__doc__)
    arguments.add_argument("--starts", type=int, default=30, help="times to start both (default: 30)")
    arguments.add_argument("--seconds", type=float, default=1, help="seconds of each load (default: 1)")
    options = arguments.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        body = rows_of([calibrated(Path(scratch))], samples=100)
        for workers in (1, 2):
            pairs = [compare(Path(scratch), workers, body, options.seconds) for _ in range(options.starts)]
            figures[str(workers)] = together(pairs)
            print(f"{workers} workers: {told(figures[str(workers)])}", flush=True)
    write("monitoring", figures)
    return int(any(figure["ratio"] < BAR for figure in figures.values()))


def compare(scratch: Path, workers: int, body: bytes, seconds: float) -> tuple[float, float]:
    """Start both and load them in turn; return the answers per second with monitoring and without."""
    flags = ("--workers", str(workers))
    with (
        serving(scratch, *flags) as monitored,
        serving(scratch, *flags, program=UNMONITORED) as bare,
    ):
        rates: dict[str, list[float]] = {monitored.url: [], bare.url: []}
        for url in (monitored.url, bare.url, bare.url, monitored.url):
            closed(url + ROUTE, body, 32, 0.2)
            scraper = threading.Timer(seconds / 2, scrape, (url,))
            if url == monitored.url:
                scraper.start()
            rates[url].append(closed(url + ROUTE, body, 32, seconds).rate)
            scraper.cancel()
        return statistics.mean(rates[monitored.url]), statistics.mean(rates[bare.url])


def together(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Summarise the figures of all starts."""
    ratios = [monitored / bare for monitored, bare in pairs]
    quarters = statistics.quantiles(ratios, n=4)
    return {
        "monitored": statistics.median(monitored for monitored, _ in pairs),
        "bare": statistics.median(bare for _, bare in pairs),
        "ratio": statistics.median(ratios),
        "lower_quartile": quarters[0],
        "upper_quartile": quarters[2],
    }


def scrape(url: str) -> None:
    """Request the metrics as Prometheus does."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        answer.read()


def told(figure: dict[str, float]) -> str:
    """Format a figure."""
    met = "met" if figure["ratio"] >= BAR else "missed"
    return (
        f"{figure['monitored']:.0f} answers per second with monitoring, {figure['bare']:.0f} without; ratio "
        f"{figure['ratio']:.3f} (quartiles {figure['lower_quartile']:.3f}, {figure['upper_quartile']:.3f}; "
        f"bar {BAR}: {met})"
    )


if __name__ == "__main__":
    raise SystemExit(main())
