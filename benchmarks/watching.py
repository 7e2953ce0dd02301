"""Watches a service while something is done to it: its memory, and whether a good client gets its answers."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final, Self

from running import Running, Watch

KEY: Final = "a-key-of-the-operator"
PATIENCE: Final = 120.0
"""Seconds after which a good client gives up."""
_EVERY: Final = 0.02
_GOOD: Final = json.dumps({"inputs": [[[0.0] * 8] * 8], "samples": 10}).encode()


class Memory(Watch):
    """Watches the memory of a service and of all processes that it starts."""

    def __init__(self, running: Running) -> None:
        super().__init__()
        self.most = 0.0
        self._pid = running.process.pid

    def now(self) -> float:
        """Measure the resident memory of all processes, in bytes."""
        return sum(_status(pid, "VmRSS") for pid in _family(self._pid))

    def begin(self) -> None:
        """Forget the most so far, also what the system knows of the service."""
        with suppress(OSError):
            Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        self.most = self.now()

    def end(self) -> float:
        """Give the most since the beginning; a peak of the service itself is never missed."""
        return max(self.most, _status(self._pid, "VmHWM"))

    def _run(self) -> None:
        while not self._ended.wait(_EVERY):
            self.most = max(self.most, self.now())


def _family(pid: int) -> Iterator[int]:
    """List a process and all that descend from it."""
    yield pid
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))


def _status(pid: int, name: str) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return 1024.0 * int(line.split()[1])
    return 0.0


class Good:
    """A good client, which asks in turn whether the service lives and what the bundled model says.

    An answer of the model may come as late as the deadline of requests, or be a 504: a run of another model
    may have to end first.

    Parameters
    ----------
    deadline
        Seconds after which the service ends a request.
    """

    def __init__(self, address: tuple[str, int], deadline: float) -> None:
        self.odd: Counter[str] = Counter()
        self._address = address
        self._requests = (
            ("GET", "/health/live", b"", 0.0, ("200",)),
            ("POST", "/predict/uncertainty", _GOOD, deadline, ("200", "504")),
        )
        self._longest = 0.0
        self._due: float | None = None
        self._ended = threading.Event()
        self._asking = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._asking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._asking.join()

    def begin(self) -> None:
        """Forget the longest wait so far."""
        self._longest = 0.0

    def end(self) -> float:
        """Give the seconds by which an answer was late at most, that of a request in flight among them."""
        due = self._due
        return max(self._longest, time.monotonic() - due if due else 0.0)

    def _run(self) -> None:
        while not self._ended.wait(_EVERY):
            for method, path, body, allowed, right in self._requests:
                self._due = due = time.monotonic() + allowed
                code = asked(self._address, method, path, body, PATIENCE)[0]
                self._longest = max(self._longest, time.monotonic() - due)
                self._due = None
                if code not in right and not self._ended.is_set():
                    self.odd[code] += 1


def asked(address: tuple[str, int], method: str, path: str, body: bytes, seconds: float) -> tuple[str, Any]:
    """Ask, and give the answer's code and content; the code is a word if there is no answer."""
    connection = HTTPConnection(*address, timeout=seconds)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return str(answer.status), json.loads(answer.read() or b"null")
    except (OSError, HTTPException, ValueError) as error:
        return type(error).__name__, None
    finally:
        connection.close()
