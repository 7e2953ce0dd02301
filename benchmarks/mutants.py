"""Mutants of bundles in the store of a running service, one after the other.

Mutants are made of a few sound bundles by random changes of the manifest, the graphs, the arrays and the
files, with digests put right. Each is put into the store of a service, which is told to look; one that
loads is asked both verbs, with odd rows. A good client asks the bundled model all the while. The program
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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mutant import Mutant
from mutations import mutant
from report import parser
from running import Running, Stalls, started
from specimens import specimens
from watching import KEY, Good, Memory, asked

from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.store import BUNDLED

MEMORY: Final = 2**30
"""Bytes that a mutant may take, in the service and in the processes that it starts."""
SECONDS: Final = 60.0
"""Seconds that a mutant may take to load, and that a request may take."""
STALL: Final = 5.0
"""Seconds in which a good client gets its answer, on a machine that others use too."""
DEADLINE: Final = "5"
"""Seconds after which the service ends a request."""

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
    seconds
        Until the service had loaded or refused it.
    memory
        Bytes that the service and its children held beyond what the service holds otherwise.
    stalled
        Seconds for which a good client waited for an answer at most.
    codes
        Answers to the questions that it was asked.
    faults
        What must not happen.
    """

    number: int
    kinds: list[str]
    reason: str | None = None
    seconds: float = 0.0
    memory: float = 0.0
    stalled: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def broke(self) -> bool:
        """Whether the service is of no more use."""
        return any(fault.startswith(("ended", "no verdict")) for fault in self.faults)

    def __str__(self) -> str:
        what = "loaded" if self.reason is None else f"refused: {self.reason[:200]}"
        faults = "".join(f"{fault}; " for fault in self.faults)
        return (
            f"mutant {self.number} ({', '.join(self.kinds)}): {faults}{self.seconds:.2f} s, "
            f"{self.memory / 2**20:.0f} MiB, a good client waited {self.stalled:.2f} s, "
            f"answers {dict(self.codes)}, {what}"
        )


class Trial:
    """Tries mutants in one running service."""

    def __init__(self, running: Running, store: Path, stalls: Stalls) -> None:
        self._running = running
        self._store = store
        self._stalls = stalls
        self._memory = Memory(running)
        self._good = Good(running.address)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch memory and ask as a good client meanwhile."""
        with self._memory, self._good:
            time.sleep(1)
            self._base = self._memory.now()
            yield

    def tried(self, mutant: Mutant) -> Verdict:
        """Put a mutant into the store, ask it if it loads, and take it out again."""
        verdict = Verdict(mutant.number, mutant.kinds)
        mutant.write(self._store)
        self._memory.begin()
        self._good.begin()
        stalled, odd = self._stalls.seconds, self._good.odd.copy()
        start = time.monotonic()
        code, changes = self._ask("POST", "/admin/reload", b"", 1.5 * SECONDS)
        verdict.seconds = time.monotonic() - start
        if code == "200":
            failing = [each for each in changes["failing"] if each["name"] == mutant.name and each["version"]]
            verdict.reason = failing[0]["reason"] if failing else None
            if verdict.reason is None:
                self._question(mutant, verdict)
        else:
            verdict.reason = f"no verdict, but {code}"
            verdict.faults.append(verdict.reason)
        shutil.rmtree(self._store / mutant.name)
        verdict.memory = self._memory.end() - self._base
        stalls = self._stalls.seconds - stalled
        verdict.stalled = max(0.0, self._good.end() - stalls)
        if verdict.seconds - stalls > SECONDS:
            verdict.faults.append(f"took {verdict.seconds:.0f} s")
        if verdict.memory > MEMORY:
            verdict.faults.append(f"took {verdict.memory / 2**20:.0f} MiB")
        if verdict.stalled > STALL:
            verdict.faults.append(f"a good client waited {verdict.stalled:.1f} s")
        if wrong := self._good.odd - odd:
            verdict.faults.append(f"a good client got {dict(wrong)}")
        if not self._running.alive:
            verdict.faults.append(f"ended the service with code {self._running.process.returncode}")
        return verdict

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
    """Make rows for a mutant: its example, and rows of odd numbers of its shapes."""
    if manifest.get("example") is not None:
        yield manifest["example"]
    inputs = manifest["inputs"]
    for length in (1, 7, 300):
        free = any(isinstance(size, str) for spec in inputs for size in spec["shape"][1:])
        for number in _ODD_ROWS:
            rows = 40 if number == 1 else 1
            yield {spec["name"]: [_filled(spec["shape"][1:], number, length)] * rows for spec in inputs}
        if not free:
            return


def _filled(shape: Sequence[Any], number: float, length: int) -> Any:
    """Nest lists of one number in a shape, of a bounded size."""
    if not shape:
        return number
    size = length if isinstance(shape[0], str) else min(int(shape[0]), 1000)
    return [_filled(shape[1:], number, length)] * size


def attack(numbers: Sequence[int], seed: int, bundles: Sequence[Bundle], stalls: Stalls) -> list[Verdict]:
    """Try mutants in a service, and start another one whenever one has ended or hangs."""
    verdicts: list[Verdict] = []
    while len(verdicts) < len(numbers):
        verdicts += _served(numbers[len(verdicts) :], seed, bundles, stalls)
    return verdicts


def _served(numbers: Sequence[int], seed: int, bundles: Sequence[Bundle], stalls: Stalls) -> list[Verdict]:
    """Try mutants in a new service, as long as it can be used."""
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        shutil.copytree(BUNDLED / "digits", store / "digits")
        flags = ("--poll", "0", "--default-model", "digits", "--timeout", DEADLINE, "--admin-keys", KEY)
        with started(*flags, folder) as running:
            trial = Trial(running, store, stalls)
            with trial.watching():
                for number in numbers:
                    verdicts.append(trial.tried(mutant(seed, number, bundles)))
                    if verdicts[-1].faults:
                        print(f"FAULT: {verdicts[-1]}", flush=True)
                    if verdicts[-1].broke:
                        running.process.kill()
                        break
    if not verdicts[-1].broke:
        verdicts[-1].faults += running.faults("store")
    return verdicts


def summary(verdicts: Sequence[Verdict]) -> str:
    """Describe what became of the mutants, by the first of their changes."""
    groups: dict[str, list[Verdict]] = {"all": list(verdicts)}
    for verdict in verdicts:
        groups.setdefault(verdict.kinds[1].split()[0], []).append(verdict)
    lines = [f"{'change':16} mutants  loaded  faulty  mean s   most s  most MiB  longest wait"]
    for name, group in sorted(groups.items()):
        seconds = [verdict.seconds for verdict in group]
        lines.append(
            f"{name:16} {len(group):7} {sum(verdict.reason is None for verdict in group):7} "
            f"{sum(bool(verdict.faults) for verdict in group):7} {sum(seconds) / len(group):7.2f} "
            f"{max(seconds):8.2f} {max(verdict.memory for verdict in group) / 2**20:9.0f} "
            f"{max(verdict.stalled for verdict in group):11.2f} s"
        )
    return "\n".join(lines)


def main() -> int:
    """Try mutants and print; return the exit code."""
    arguments = parser(__doc__)
    arguments.add_argument("--count", type=int, default=10_000, help="number of mutants (default: 10000)")
    arguments.add_argument("--first", type=int, default=0, help="number of the first mutant (default: 0)")
    arguments.add_argument("--seed", type=int, default=0, help="seed of all choices (default: 0)")
    arguments.add_argument("--services", type=int, default=1, help="services at once (default: 1)")
    options = arguments.parse_args()
    bundles = specimens()
    numbers = range(options.first, options.first + options.count)
    shares = [numbers[first :: options.services] for first in range(options.services)]
    start = time.monotonic()
    with Stalls() as stalls, ThreadPoolExecutor() as threads:
        tries = [threads.submit(attack, share, options.seed, bundles, stalls) for share in shares]
        verdicts = [verdict for each in tries for verdict in each.result()]
    print(summary(verdicts))
    print(f"seed {options.seed}: {len(verdicts)} mutants in {time.monotonic() - start:.0f} s")
    faulty = [verdict for verdict in verdicts if verdict.faults]
    for verdict in faulty:
        print(f"FAULT: {verdict}")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
