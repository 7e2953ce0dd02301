"""Whether versions are added and removed, and aliases moved, without any effect on clients.

Clients ask the default model and an alias as fast as they are answered. Meanwhile versions are copied into
the store, file by file, some of them damaged; old ones are removed, and the alias is moved. Every answer is
checked against the times at which its version may have answered. Needs the training extra.
"""

import asyncio
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from load import _Connection, _Load, rows_of
from report import parser, write
from serving import NETS, make

from caveat.models.bundles.bundle import MANIFEST, PASSES, PREDICT, Bundle, pack

NET = NETS["784-128-10"]
KEY = "a-key-of-the-operator"

ROUTES = ("/models/mlp", "/models/mlp/versions/champion")
KEPT = 5
"""Number of versions kept in the store; older ones are removed, except one that the alias stands for."""


@dataclass(frozen=True)
class Answer:
    """When a request was sent and answered, and by which version; version 0 if it failed."""

    route: str
    asked: float
    answered: float
    version: int


@dataclass
class Life:
    """When a version may have answered, and when it must have been loaded."""

    earliest: float
    certain: float = float("inf")
    last: float = float("inf")
    gone: float = float("inf")


@dataclass
class Timeline:
    """The operator's actions, and their times."""

    lives: dict[int, Life] = field(default_factory=dict)
    flips: list[tuple[float, float, int]] = field(default_factory=list)  # began, ended, version

    def allows(self, answer: Answer) -> bool:
        """Tell whether the answer's version may have answered at some time during the request."""
        life = self.lives.get(answer.version)
        if life is None or answer.answered < life.earliest or answer.asked > life.gone:
            return False
        if answer.route == ROUTES[1]:
            ends = [end for _, end, _ in self.flips[1:]] + [float("inf")]
            return any(
                began <= answer.answered and answer.asked <= end and version == answer.version
                for (began, _, version), end in zip(self.flips, ends, strict=True)
            )
        newer = (self.lives[version] for version in self.lives if version > answer.version)
        return not any(other.certain <= answer.asked and answer.answered <= other.last for other in newer)


def main() -> int:
    """Roll out, print, and write JSON; return 1 if a client was affected."""
    arguments = parser(__doc__)
    arguments.add_argument("--versions", type=int, default=50, help="versions to copy into the store (50)")
    arguments.add_argument("--damaged", type=int, default=10, help="damaged ones among them (default: 10)")
    arguments.add_argument("--flips", type=int, default=20, help="moves of the alias (default: 20)")
    arguments.add_argument("--connections", type=int, default=32, help="connections of clients (default: 32)")
    arguments.add_argument("--seconds", type=float, default=5, help="seconds of load before the rollout (5)")
    arguments.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers (default: 1 2)"
    )
    options = arguments.parse_args()
    figures = {}
    noticed = 0
    with tempfile.TemporaryDirectory() as scratch:
        (row,) = make(NET, Path(scratch))
        for workers in options.workers:
            store = Path(scratch) / f"store-{workers}"
            shutil.copytree(Path(scratch) / "store", store)
            found = asyncio.run(rolled_out(store, rows_of([row], samples=100), workers, options))
            figures[workers] = found
            noticed += found["failed"] + found["wrong"]
            print(f"{workers} workers: {found}", flush=True)
    write("rollout", figures)
    return 1 if noticed else 0


async def rolled_out(store: Path, body: bytes, workers: int, options: Any) -> dict[str, Any]:
    """Send requests without and with the operator's actions; return the figures."""
    with serving(store, workers) as (url, pid):
        operator = Operator(url, store, options.damaged)
        await asyncio.to_thread(operator.flip, 1)
        quiet = await asked(url, body, options.connections, lambda: time.sleep(options.seconds))
        before = megabytes(pid)
        answers = await asked(url, body, options.connections, lambda: operator.work(options))
        after = megabytes(pid)
        listed = call(f"{url}/models")
    failed = [answer for answer in answers if not answer.version]
    wrong = [answer for answer in answers if answer.version and not operator.timeline.allows(answer)]
    return {
        "answers": len(answers),
        "failed": len(failed),
        "wrong": len(wrong),
        "versions_that_answered": len({answer.version for answer in answers}),
        "loaded": operator.loaded,
        "refused": operator.refused,
        "flips": len(operator.timeline.flips) - 1,
        "served_at_the_end": listed["models"][0]["versions"],
        "reload_ms": round(1e3 * float(np.median(operator.reloads)), 1),
        "flip_ms": round(1e3 * float(np.median(operator.moves)), 1),
        "quiet_ms": percentiles(quiet),
        "busy_ms": percentiles(answers),
        "mb": [round(before), round(after)],
    }


class Operator:
    """Copies versions into the store, removes old ones and moves the alias, and notes the times."""

    def __init__(self, url: str, store: Path, damaged: int) -> None:
        self.timeline = Timeline({1: Life(0.0, 0.0)})
        self.loaded = 0
        self.refused = 0
        self.reloads: list[float] = []
        self.moves: list[float] = []
        self._url = url
        self._model = store / "mlp"
        self._damaged = damaged
        self._champion = 1
        self._bundle = Bundle.load(self._model / "1")

    def work(self, options: Any) -> None:
        """Carry out all actions."""
        chance = random.Random(0)
        damaged = set(chance.sample(range(3, options.versions + 2), options.damaged))
        steps = range(2, options.versions + 2)
        flips = set(np.linspace(2, options.versions + 1, options.flips).round().astype(int).tolist())
        for version in steps:
            self._copy(version, version in damaged)
            self._reload(version)
            if version in flips:
                live = [each for each, life in self.timeline.lives.items() if life.last == float("inf")]
                self.flip(chance.choice([each for each in live if each != self._champion]))
            self._remove()

    def flip(self, version: int) -> None:
        """Move the alias."""
        start = time.perf_counter()
        call(f"{self._url}/admin/models/mlp/aliases/champion", "PUT", {"version": version})
        end = time.perf_counter()
        self.moves.append(end - start)
        self.timeline.flips.append((start, end, version))
        self._champion = version

    def _copy(self, version: int, damaged: bool) -> None:
        """Copy a version as ``cp -r`` does, slowly enough that the service polls it half copied."""
        manifest = self._bundle.manifest.model_copy(update={"version": version})
        bundle = pack(manifest, self._bundle.files)
        staged = self._model.parent.with_name("staged")
        bundle.save(staged)
        if damaged:
            DAMAGES[self.refused % len(DAMAGES)](staged, bundle)
            self.refused += 1
        else:
            self.timeline.lives[version] = Life(time.perf_counter())
            self.loaded += 1
        (self._model / str(version)).mkdir()
        for path in sorted(staged.iterdir()):
            shutil.copy(path, self._model / str(version))
            time.sleep(0.05)
        shutil.rmtree(staged)

    def _reload(self, version: int) -> None:
        start = time.perf_counter()
        answer = call(f"{self._url}/admin/reload", "POST")
        end = time.perf_counter()
        if life := self.timeline.lives.get(version):
            life.certain = end
            self.reloads.append(end - start)
        elif version not in [each["version"] for each in answer["failing"]]:
            raise SystemExit(f"version {version} is damaged, and served")

    def _remove(self) -> None:
        live = [version for version, life in self.timeline.lives.items() if life.last == float("inf")]
        for version in live[:-KEPT]:
            if version != self._champion:
                self.timeline.lives[version].last = time.perf_counter()
                shutil.rmtree(self._model / str(version))
                call(f"{self._url}/admin/reload", "POST")
                self.timeline.lives[version].gone = time.perf_counter()


def _truncate(folder: Path, _: Bundle) -> None:
    path = folder / PASSES
    path.write_bytes(path.read_bytes()[:-100])


def _flip_a_bit(folder: Path, _: Bundle) -> None:
    content = bytearray((folder / PREDICT).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / PREDICT).write_bytes(content)


def _lose_a_file(folder: Path, _: Bundle) -> None:
    (folder / PASSES).unlink()


def _swap_graphs(folder: Path, bundle: Bundle) -> None:
    files = {**bundle.files, PREDICT: bundle.files[PASSES], PASSES: bundle.files[PREDICT]}
    swapped = pack(bundle.manifest, files)
    shutil.rmtree(folder)
    swapped.save(folder)


def _half_a_manifest(folder: Path, _: Bundle) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text[: len(text) // 2])


DAMAGES: Sequence[Callable[[Path, Bundle], None]] = (
    _truncate,
    _flip_a_bit,
    _lose_a_file,
    _swap_graphs,
    _half_a_manifest,
)


class _Asking(_Load):
    """Sends requests to a route until told to stop, and notes every answer."""

    def __init__(self, url: str, route: str, body: bytes, answers: list[Answer]) -> None:
        super().__init__(f"{url}{route}/predict/uncertainty", body)
        self.stopped = False
        self._route = route
        self._answers = answers

    def _answered(self, connection: _Connection, code: int, due: float) -> None:
        super()._answered(connection, code, due)
        now = time.perf_counter()
        found = re.search(rb'"version":(\d+)', connection.body) if code == 200 else None
        self._answers.append(Answer(self._route, due, now, int(found[1]) if found else 0))
        if not self.stopped and code:
            self.ask(now)


async def asked(url: str, body: bytes, connections: int, meanwhile: Callable[[], None]) -> list[Answer]:
    """Send requests to both routes while ``meanwhile`` runs."""
    answers: list[Answer] = []
    loads = [_Asking(url, route, body, answers) for route in ROUTES]
    for load in loads:
        await load.connect(connections // len(loads))
        while load.idle:
            load.ask(time.perf_counter())
    await asyncio.to_thread(meanwhile)
    for load in loads:
        load.stopped = True
        await load.finish(0.0)
    return answers


def call(url: str, method: str = "GET", body: object = None) -> Any:
    """Send a request for a JSON document."""
    content = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(url, content, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def percentiles(answers: Sequence[Answer]) -> dict[str, float]:
    """Compute percentiles of latencies, in milliseconds."""
    took = [1e3 * (answer.answered - answer.asked) for answer in answers]
    return {f"p{q:g}": round(float(np.percentile(took, q)), 1) for q in (50, 99, 99.9, 100)}


@contextmanager
def serving(store: Path, workers: int) -> Iterator[tuple[str, int]]:
    """Serve a store, which is polled often, until the block ends."""
    flags = ["--port", "0", "--workers", str(workers), "--poll", "0.2"]
    command = [sys.executable, "-m", "caveat", "serve", str(store), *flags]
    keys = os.environ | {"CAVEAT_ADMIN_KEYS": KEY}
    with subprocess.Popen(
        command, env=keys, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        try:
            yield ready.rpartition(" at ")[2].partition(",")[0], process.pid
        finally:
            process.terminate()


def megabytes(pid: int) -> float:
    """Measure the private memory of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    texts = [Path(f"/proc/{each}/smaps_rollup").read_text() for each in (pid, *children)]
    found = [re.findall(r"^Pss: +(\d+) kB", text, re.MULTILINE) for text in texts]
    return sum(int(each[0]) for each in found) / 1e3


if __name__ == "__main__":
    raise SystemExit(main())
