"""Caveat compared with other servers of Monte Carlo dropout: requests per second, end to end.

Every server runs in its own environment, with the same weights, on the same machine, one at a time; each
round measures all servers, and each figure is the median over the rounds. A request is one row of 784
numbers and asks for 100 passes. All servers may use all cores, run their passes in one batch, and batch over
requests; only the tutorial loops over the passes, as tutorials do.

Run it in Caveat's environment with the training extra: `make bench`. It makes the other environments below
``--environments`` on the first run, which takes several gigabytes.
"""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from load import closed, rows_of
from report import earlier, parser, write
from torch import nn

from caveat.models.bundles import store
from caveat.training.export.export import export

PEERS = Path(__file__).parent / "peers"
NETS = {"784-128-10": (784, 128, 10), "784-1024-1024-10": (784, 1024, 1024, 10)}
CONNECTIONS = (1, 32)
CAVEAT = "Caveat"


@dataclass(frozen=True)
class Server:
    """A server to measure.

    Parameters
    ----------
    environment
        Name of the server's environment; None for Caveat's own.
    packages
        Packages of the environment, besides PyTorch.
    command
        Makes the command line from the environment's programs, a port and a scratch folder.
    path, body
        Path and body of a request.
    """

    environment: str | None
    packages: tuple[str, ...]
    command: Callable[[Path, int, Path], list[str]]
    path: str
    body: Callable[[list[list[float]]], bytes] = field(default=lambda rows: rows_of(rows, samples=100))
    variables: dict[str, str] = field(default_factory=dict)


def uvicorn(application: str) -> Callable[[Path, int, Path], list[str]]:
    """Serve an application of the peers' folder with uvicorn's fastest options."""
    return lambda programs, port, _: [
        str(programs / "uvicorn"),
        application,
        *("--app-dir", str(PEERS), "--port", str(port)),
        *("--log-level", "warning", "--no-access-log"),
    ]


def caveat(programs: Path, port: int, scratch: Path) -> list[str]:
    """Serve the bundle of the network."""
    return [str(programs / "caveat"), "serve", str(scratch / "store"), "--port", str(port)]


def script(name: str) -> Callable[[Path, int, Path], list[str]]:
    """Run a script of the peers' folder."""
    return lambda programs, _port, _: [str(programs / "python"), str(PEERS / name)]


def bentoml(programs: Path, port: int, _: Path) -> list[str]:
    """Serve the service of BentoML."""
    return [str(programs / "bentoml"), "serve", "bentoml_app:Uncertainty", "--port", str(port)]


def mlserver(programs: Path, port: int, scratch: Path) -> list[str]:
    """Write MLServer's settings, and serve."""
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    model = {
        "name": "digits",
        "implementation": "mlserver_app.Uncertainty",
        "max_batch_size": 32,
        "max_batch_time": 0.001,
    }
    (scratch / "settings.json").write_text(json.dumps(settings | {"debug": False, "parallel_workers": 0}))
    (scratch / "model-settings.json").write_text(json.dumps(model))
    return [str(programs / "mlserver"), "start", str(scratch)]


def v2(rows: list[list[float]]) -> bytes:
    """Write a request in the V2 inference protocol."""
    tensor = {"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": rows}
    return json.dumps({"inputs": [tensor]}).encode()


FAST = ("uvicorn", "uvloop", "httptools")
SERVERS = {
    "bare ASGI": Server(None, (), uvicorn("bare_app:app"), "/"),
    "Caveat /predict": Server(None, (), caveat, "/predict", rows_of),
    CAVEAT: Server(None, (), caveat, "/predict/uncertainty"),
    "Caveat, a worker a core": Server(
        None, (), caveat, "/predict/uncertainty", variables={"CAVEAT_WORKERS": str(os.cpu_count())}
    ),
    "FastAPI, looped (tutorial)": Server("fastapi", ("fastapi", *FAST), uvicorn("fastapi_app:app"), "/ask"),
    "FastAPI, tiled": Server(
        "fastapi", ("fastapi", *FAST), uvicorn("fastapi_app:app"), "/ask", variables={"PEER_PASSES": "tiled"}
    ),
    "LitServe": Server("litserve", ("litserve", *FAST), script("litserve_app.py"), "/ask", rows_of),
    "BentoML": Server("bentoml", ("bentoml", *FAST), bentoml, "/ask", rows_of),
    "MLServer": Server("mlserver", ("mlserver", *FAST), mlserver, "/v2/models/digits/infer", v2),
    "Ray Serve": Server("ray", ("ray[serve]", *FAST), script("ray_app.py"), "/ask", rows_of),
}


def main() -> None:
    """Measure all servers and print a table for each network."""
    arguments = parser(__doc__)
    arguments.add_argument("servers", nargs="*", help="names of servers (default: all)")
    arguments.add_argument(
        "--nets", nargs="+", choices=NETS, default=list(NETS), help="networks to serve (default: both)"
    )
    arguments.add_argument("--rounds", type=int, default=3, help="times to measure each (default: 3)")
    arguments.add_argument("--seconds", type=float, default=4, help="seconds of load each time (default: 4)")
    arguments.add_argument(
        "--environments", type=Path, default=Path(".peers"), help="folder of environments (default: .peers)"
    )
    options = arguments.parse_args()
    names = options.servers or list(SERVERS)
    environments = options.environments.resolve()
    for name in names:
        prepare(SERVERS[name], environments)
    for net in options.nets:
        rates = compare(names, NETS[net], environments, options.rounds, options.seconds)
        print(table(net, rates), flush=True)
        write("serving", earlier("serving") | {net: rates})


def compare(
    names: list[str], widths: tuple[int, ...], environments: Path, rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Measure servers in turn; return the median answers per second of each, by connections."""
    rates: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in names}
    with tempfile.TemporaryDirectory() as scratch:
        rows = make(widths, Path(scratch))
        for _ in range(rounds):
            for name in names:
                measured = measure(SERVERS[name], widths, rows, Path(scratch), environments, seconds)
                for connections, rate in measured.items():
                    rates[name][str(connections)].append(rate)
    return {
        name: {connections: statistics.median(of) for connections, of in each.items()}
        for name, each in rates.items()
    }


def prepare(server: Server, environments: Path) -> None:
    """Make the environment of a server unless it exists."""
    if server.environment is None or (environments / server.environment / ".ready").exists():
        return
    folder = environments / server.environment
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    torch_of_ours = f"torch=={torch.__version__.partition('+')[0]}"
    for packages in ((torch_of_ours, "numpy"), server.packages):
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", *packages], check=True)
    (folder / ".ready").touch()


def make(widths: tuple[int, ...], scratch: Path) -> list[list[float]]:
    """Write the network as weights and as a bundle; return a row for requests."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.5)]
    network = nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
    torch.save(network.state_dict(), scratch / "weights.pt")
    rows = np.random.default_rng(0).random((1, widths[0])).round(3)
    example = torch.from_numpy(rows).float().repeat(3, 1)
    bundle = export(network, example, task="classification", outputs="logits", name="mlp")
    store.add(scratch / "store", bundle)
    row: list[list[float]] = rows.tolist()
    return row


def measure(
    server: Server,
    widths: tuple[int, ...],
    rows: list[list[float]],
    scratch: Path,
    environments: Path,
    seconds: float,
) -> dict[int, float]:
    """Start a server, warm it up, and load it; return answers per second by connections."""
    with running(server, widths, scratch, environments) as url:
        body = server.body(rows)
        closed(url, body, 4, 1.0)
        rates = {}
        for connections in CONNECTIONS:
            result = closed(url, body, connections, seconds)
            if result.codes[200] < 0.99 * result.codes.total():
                raise SystemExit(f"{url} answered {dict(result.codes)}")
            rates[connections] = result.rate
        return rates


@contextmanager
def running(server: Server, widths: tuple[int, ...], scratch: Path, environments: Path) -> Iterator[str]:
    """Run a server until the block ends; yield the URL to ask."""
    programs = (
        Path(sys.executable).parent
        if server.environment is None
        else environments / server.environment / "bin"
    )
    port = free_port()
    variables = {
        "PEER_WEIGHTS": str(scratch / "weights.pt"),
        "PEER_WIDTHS": ",".join(map(str, widths)),
        "PEER_PORT": str(port),
        "PYTHONPATH": str(PEERS),
        **server.variables,
    }
    with open(scratch / "server.log", "wb") as log:
        process = subprocess.Popen(
            server.command(programs, port, scratch),
            env=os.environ | variables,
            cwd=PEERS,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}{server.path}"
            wait_until_answered(process, url, server.body([[0.5] * widths[0]]), scratch / "server.log")
            yield url
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(1)


def free_port() -> int:
    """Find a free port; a server may need the next two as well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_answered(process: subprocess.Popen[bytes], url: str, body: bytes, log: Path) -> None:
    """Send requests until there is an answer, for two minutes at most."""
    end = time.perf_counter() + 120
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except OSError as error:
            if process.poll() is not None or time.perf_counter() > end:
                raise SystemExit(f"{url} does not answer: {error}\n{log.read_text()[-2000:]}") from None
            time.sleep(0.2)


def table(net: str, rates: dict[str, dict[str, float]]) -> str:
    """Format the rates for a network, and how many times as fast as each server Caveat is."""
    ours = rates.get(CAVEAT, {})
    lines = [f"{net}, answers per second", f"{'':30}{'1 connection':>14}{'32':>10}{'Caveat is':>14}"]
    for name, counts in rates.items():
        times = f"{ours['32'] / counts['32']:.2f} x" if ours and name != CAVEAT else ""
        lines.append(f"{name:30}{counts['1']:>14.0f}{counts['32']:>10.0f}{times:>14}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
