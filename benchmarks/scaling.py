"""The cost of a request, end to end, by passes, rows, width and connections; and workers against threads.

Milliseconds are the median of requests that one connection sends one after the other; answers per second
are over all connections. Requests are JSON without a seed, so that the service has their masks cached; one
series gives a seed, whose masks are drawn for each request. Needs the training extra.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from load import Result, closed, rows_of
from overload import Service, serving
from report import parser, write
from serving import NETS, make

Series = dict[str, dict[str, float]]  # name of a line -> size -> cost

PREDICT = "/predict"
UNCERTAINTY = "/predict/uncertainty"
SAMPLES = (10, 100, 1000, 10_000)
ROWS = (1, 16, 256, 4096)
WIDTHS = (64, 128, 256, 512, 1024, 2048)
CONNECTIONS = (1, 4, 16, 64, 256)
PENDING = "512"  # room for the requests of all connections
WORKERS = (1, 2)
THREADS = (1, 2)


def main() -> None:
    """Measure, print a table for each series, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=2, help="seconds of each load (default: 2)")
    options = arguments.parse_args()
    figures: dict[str, Series] = {"samples": {}, "rows": {}, "connections": {}, "width": {}, "workers": {}}
    for net, widths in NETS.items():
        with served(widths) as service:
            figures["samples"] |= against_samples(service, net, widths[0], options.seconds)
            figures["rows"] |= against_rows(service, net, widths[0], options.seconds)
            figures["connections"] |= against_connections(service, net, widths[0], options.seconds)
    figures["width"] = against_width(options.seconds)
    figures["workers"] = workers_and_threads(options.seconds)
    for title, series in figures.items():
        print(table(TITLES[title], series), flush=True)
    write("scaling", figures)


TITLES = {
    "samples": "ms against passes, 1 row",
    "rows": "ms against rows, 100 passes",
    "connections": "answers per second against connections, 1 row, 100 passes",
    "width": "ms against the width w of 784-w-w-10, 1 row, 100 passes",
    "workers": "answers per second against workers x threads, 1 row, 100 passes",
}


@contextmanager
def served(widths: tuple[int, ...], *flags: str) -> Iterator[Service]:
    """Serve a network of these widths until the block ends."""
    with tempfile.TemporaryDirectory() as scratch:
        make(widths, Path(scratch))
        with serving(Path(scratch), "--max-pending", PENDING, *flags) as service:
            yield service


def against_samples(service: Service, net: str, features: int, seconds: float) -> Series:
    """Measure one row with more and more passes: with the service's own seed, and with another."""
    rows = random_rows(1, features)
    seeds = {net: {}, f"{net}, another seed": {"seed": 1}}
    return {
        name: {
            str(samples): milliseconds(
                service.url + UNCERTAINTY, rows_of(rows, samples=samples, **seed), seconds
            )
            for samples in SAMPLES
        }
        for name, seed in seeds.items()
    }


def against_rows(service: Service, net: str, features: int, seconds: float) -> Series:
    """Measure requests with more and more rows."""
    return {
        f"{net} {route}": {
            str(count): milliseconds(service.url + route, rows_of(random_rows(count, features)), seconds)
            for count in ROWS
        }
        for route in (UNCERTAINTY, PREDICT)
    }


def against_connections(service: Service, net: str, features: int, seconds: float) -> Series:
    """Measure more and more connections at once."""
    body = rows_of(random_rows(1, features))
    return {
        f"{net} {route}": {
            str(count): loaded(service.url + route, body, count, seconds).rate for count in CONNECTIONS
        }
        for route in (UNCERTAINTY, PREDICT)
    }


def against_width(seconds: float) -> Series:
    """Measure one row of wider and wider networks."""
    series: Series = {UNCERTAINTY: {}, PREDICT: {}}
    for width in WIDTHS:
        with served((784, width, width, 10)) as service:
            body = rows_of(random_rows(1, 784))
            for route, costs in series.items():
                costs[str(width)] = milliseconds(service.url + route, body, seconds)
    return series


def workers_and_threads(seconds: float) -> Series:
    """Measure one connection and 32, for services with several numbers of workers and threads."""
    series: Series = {f"{net}, {count} connections": {} for net in NETS for count in (1, 32)}
    for net, widths in NETS.items():
        body = rows_of(random_rows(1, widths[0]))
        for workers in WORKERS:
            for threads in THREADS:
                with served(widths, "--workers", str(workers), "--threads", str(threads)) as service:
                    for count in (1, 32):
                        rate = loaded(service.url + UNCERTAINTY, body, count, seconds).rate
                        series[f"{net}, {count} connections"][f"{workers} x {threads}"] = rate
    return series


def random_rows(count: int, features: int) -> list[list[float]]:
    """Make rows of numbers with three digits."""
    rows: list[list[float]] = np.random.default_rng(0).random((count, features)).round(3).tolist()
    return rows


def milliseconds(url: str, body: bytes, seconds: float) -> float:
    """Measure the median time of a request on one connection."""
    return 1e3 * loaded(url, body, 1, seconds).percentile(50)


def loaded(url: str, body: bytes, connections: int, seconds: float) -> Result:
    """Load a warmed-up service; end the program if a request gets no answer."""
    closed(url, body, connections, seconds / 4)
    result = closed(url, body, connections, seconds)
    if result.codes[200] < result.codes.total():
        raise SystemExit(f"{url} answered {dict(result.codes)}")
    return result


def table(title: str, series: Series) -> str:
    """Format a table with sizes as columns, and each line of the plot as a row."""
    columns = list(next(iter(series.values())))
    lines = [title, f"{'':42}" + "".join(f"{column:>10}" for column in columns)]
    for name, costs in series.items():
        lines.append(f"{name:42}" + "".join(f"{costs[column]:>10.4g}" for column in columns))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
