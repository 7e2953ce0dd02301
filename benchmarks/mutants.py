"""Mutants of bundles in the store of a running service.

Mutants are made of a few sound bundles by random changes of the manifest, the graphs, the arrays and the
files, with digests put right. They are put into the store of a service, which is told to look; those
that load are asked both verbs, with odd rows. A good client asks the bundled model all the while. The program
ends with code 1 if a mutant ended the service, kept it from answering, took more memory or time than is
allowed, or was answered with a 500. `--seed` and `--first` make the same mutant again. Needs the training
extra.
"""

import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mutation import mutations
from mutation.mutant import Mutant
from mutation.specimens import specimens
from report import parser
from running import Running, Stalls, started
from watching import KEY, Good, Memory, asked

from caveat.models.bundles.store import BUNDLED

MEMORY: Final = 2**30
"""Bytes that a mutant may take, in the service and in the processes that it starts."""
SECONDS: Final = 60.0
"""Seconds that a mutant may take to load, and that a request may take."""
STALL: Final = 5.0
"""Seconds by which the answer to a good client may be late, on a machine that others use too."""
DEADLINE: Final = 5.0
"""Seconds after which the service ends a request."""

KEPT: Final = 2**28
"""Bytes that a service may hold at its end beyond what it held at first."""

Make = Callable[[int], Mutant]
"""Makes the mutant of a number."""

_ODD_ROWS: Final = (0, 1e30, -1e30, 1, -1, 2**62, -(2**63))


@dataclass
class Verdict:
    """What became of a mutant.

    Parameters
    ----------
    number, kinds
        The number of the mutant, and its changes.
    reason
        Why the service refused it; None if it was loaded.
    codes
        Answers to the questions that it was asked.
    faults
        What must not happen.
    """

    number: int
    kinds: list[str]
    reason: str | None = None
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        what = "loaded" if self.reason is None else f"refused: {self.reason[:200]}"
        return (
            f"mutant {self.number} ({', '.join(self.kinds)}): {'; '.join(self.faults)}; {what}, "
            f"answers {dict(self.codes)}"
        )


@dataclass
class Batch:
    """What happened while the service had some mutants in its store.

    Parameters
    ----------
    seconds
        Until the service had loaded or refused all of them.
    memory
        Bytes that the service and its children held beyond what the service held at first.
    stalled
        Seconds by which the answer to a good client was late at most.
    faults
        What must not happen, and can't be told of one of them.
    """

    verdicts: list[Verdict]
    seconds: float = 0.0
    memory: float = 0.0
    stalled: float = 0.0
    faults: list[str] = field(default_factory=list)


class Trial:
    """Tries mutants in one running service."""

    def __init__(self, running: Running, store: Path, stalls: Stalls) -> None:
        self._running = running
        self._store = store
        self._stalls = stalls
        self._memory = Memory(running)
        self._good = Good(running.address, DEADLINE)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch memory and ask as a good client meanwhile."""
        with self._memory, self._good:
            time.sleep(1)
            self._base = self._memory.now()
            yield

    def tried(self, mutants: Sequence[Mutant]) -> Batch:
        """Put mutants into the store, ask those that load, and take them out again."""
        batch = Batch([Verdict(mutant.number, mutant.kinds) for mutant in mutants])
        for mutant in mutants:
            mutant.write(self._store)
        self._memory.begin()
        self._good.begin()
        stalled, odd = self._stalls.seconds, self._good.odd.copy()
        start = time.monotonic()
        code, changes = self._ask("POST", "/admin/reload", b"", 2 * SECONDS)
        batch.seconds = time.monotonic() - start
        if code == "200":
            reasons = {each["name"]: each["reason"] for each in changes["failing"] if each["version"]}
            for mutant, verdict in zip(mutants, batch.verdicts, strict=True):
                verdict.reason = reasons.get(mutant.name)
                if verdict.reason is None:
                    self._question(mutant, verdict)
        else:
            batch.faults.append(f"no verdict, but {code}")
        for mutant in mutants:
            shutil.rmtree(self._store / mutant.name)
        batch.memory = self._memory.end() - self._base
        stalls = self._stalls.seconds - stalled
        batch.stalled = max(0.0, self._good.end() - stalls)
        if batch.seconds - stalls > SECONDS:
            batch.faults.append(f"took {batch.seconds:.0f} s")
        if batch.memory > MEMORY:
            batch.faults.append(f"took {batch.memory / 2**20:.0f} MiB")
        if batch.stalled > STALL:
            batch.faults.append(f"a good client's answer was {batch.stalled:.1f} s late")
        if wrong := self._good.odd - odd:
            batch.faults.append(f"a good client got {dict(wrong)}")
        if not self._running.alive:
            batch.faults.append(f"ended the service with code {self._running.process.returncode}")
        return batch

    def kept(self) -> float:
        """Give the bytes that are still held when all mutants are gone, beyond what was held at first."""
        self._ask("POST", "/admin/reload", b"", SECONDS)
        return self._memory.now() - self._base

    def _question(self, mutant: Mutant, verdict: Verdict) -> None:
        """Ask a loaded mutant, until it answers too late."""
        code, _ = self._ask("GET", f"/models/{mutant.name}", b"", SECONDS)
        verdict.codes[code] += 1
        if code != "200":
            verdict.faults.append(f"its description is answered with {code}")
            return
        for rows in _questions(mutant.manifest):
            for verb in ("predict", "predict/uncertainty"):
                question = {"inputs": rows} if verb == "predict" else {"inputs": rows, "samples": 30}
                code, _ = self._ask(
                    "POST", f"/models/{mutant.name}/{verb}", json.dumps(question).encode(), SECONDS
                )
                verdict.codes[code] += 1
                if code not in ("200", "400", "413", "422", "429", "504"):
                    verdict.faults.append(f"{verb} is answered with {code}")
                if code not in ("200", "400", "413", "422"):
                    return

    def _ask(self, method: str, path: str, body: bytes, seconds: float) -> tuple[str, Any]:
        return asked(self._running.address, method, path, body, seconds)


def _questions(manifest: dict[str, Any]) -> Iterator[Any]:
    """Make rows for a mutant: its example, rows of odd numbers, many rows, and long ones."""
    if manifest.get("example") is not None:
        yield manifest["example"]
    for number, rows, length in (*((number, 1, 3) for number in _ODD_ROWS), (1, 40, 7), (1, 1, 300)):
        yield {
            spec["name"]: [_filled(spec["shape"][1:], number, length)] * rows for spec in manifest["inputs"]
        }


def _filled(shape: Sequence[Any], number: float, length: int) -> Any:
    """Nest lists of one number in a shape, of a bounded size."""
    if not shape:
        return number
    size = length if isinstance(shape[0], str) else min(int(shape[0]), 1000)
    return [_filled(shape[1:], number, length)] * size


def attack(numbers: Sequence[int], size: int, make: Make, stalls: Stalls) -> list[Batch]:
    """Try mutants in batches, and each of a batch with a fault alone, in a new service."""
    batches: list[Batch] = []
    waiting = [numbers[first : first + size] for first in range(0, len(numbers), size)]
    while waiting:
        found = _served(waiting, make, stalls)
        del waiting[: len(found)]
        last = found[-1]
        if last.faults and len(last.verdicts) > 1:
            waiting[:0] = [[verdict.number] for verdict in found.pop().verdicts]
        batches += found
    return batches


def _served(waiting: Sequence[Sequence[int]], make: Make, stalls: Stalls) -> list[Batch]:
    """Try batches in a new service, until one of them has a fault."""
    batches: list[Batch] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        shutil.copytree(BUNDLED / "digits", store / "digits")
        flags = (
            "--poll",
            "0",
            "--default-model",
            "digits",
            "--timeout",
            f"{DEADLINE:g}",
            "--admin-keys",
            KEY,
        )
        with started(*flags, folder) as running:
            trial = Trial(running, store, stalls)
            with trial.watching():
                for numbers in waiting:
                    batches.append(batch := trial.tried([make(number) for number in numbers]))
                    _tell(batch)
                    if batch.faults:
                        running.process.kill()
                        break
                else:
                    if (kept := trial.kept()) > KEPT:
                        batches[-1].faults.append(f"{kept / 2**20:.0f} MiB are kept at the end")
    if not batches[-1].faults:
        batches[-1].faults += running.faults("store")
    return batches


def _tell(batch: Batch) -> None:
    """Print what a batch took, and what must not happen, as soon as it has."""
    numbers = [verdict.number for verdict in batch.verdicts]
    print(
        f"{numbers[0]} to {numbers[-1]}: {batch.seconds:.1f} s, {batch.memory / 2**20:.0f} MiB, a good "
        f"client's answer {batch.stalled:.2f} s late; {'; '.join(batch.faults)}",
        flush=True,
    )
    if len(numbers) == 1:
        batch.verdicts[0].faults += batch.faults
    for verdict in batch.verdicts:
        if verdict.faults:
            print(f"FAULT: {verdict}", flush=True)


def summary(batches: Sequence[Batch]) -> str:
    """Describe what became of the mutants, by the first of their changes."""
    verdicts = [verdict for batch in batches for verdict in batch.verdicts]
    groups: dict[str, list[Verdict]] = {"all": verdicts}
    for verdict in verdicts:
        groups.setdefault(verdict.kinds[1].split()[0], []).append(verdict)
    lines = [f"{'change':16} mutants  loaded  faulty"]
    for name, group in sorted(groups.items()):
        loaded, faulty = sum(each.reason is None for each in group), sum(bool(each.faults) for each in group)
        lines.append(f"{name:16} {len(group):7} {loaded:7} {faulty:7}")
    return "\n".join(lines)


def main() -> int:
    """Try mutants and print; return the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument("--count", type=int, default=10_000, help="number of mutants (default: 10000)")
    arguments.add_argument("--first", type=int, default=0, help="number of the first mutant (default: 0)")
    arguments.add_argument("--seed", type=int, default=0, help="seed of all choices (default: 0)")
    arguments.add_argument("--batch", type=int, default=20, help="mutants at once (default: 20)")
    arguments.add_argument("--services", type=int, default=1, help="services at once (default: 1)")
    options = arguments.parse_args()
    bundles = specimens()
    numbers = range(options.first, options.first + options.count)
    shares = [numbers[first :: options.services] for first in range(options.services)]
    start = time.monotonic()

    def make(number: int) -> Mutant:
        return mutations.mutant(options.seed, number, bundles)

    with Stalls() as stalls, ThreadPoolExecutor() as threads:
        tries = [threads.submit(attack, share, options.batch, make, stalls) for share in shares]
        batches = [batch for each in tries for batch in each.result()]
    print(summary(batches))
    print(
        f"seed {options.seed}: {options.count} mutants in {time.monotonic() - start:.0f} s; of batches of "
        f"{options.batch}, the longest took {max(batch.seconds for batch in batches):.1f} s, the largest "
        f"{max(batch.memory for batch in batches) / 2**20:.0f} MiB; answers to a good client were "
        f"{max(batch.stalled for batch in batches):.2f} s late at most"
    )
    faults = [f"{verdict}" for batch in batches for verdict in batch.verdicts if verdict.faults]
    faults += [f"a batch: {'; '.join(batch.faults)}" for batch in batches if batch.faults]
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
