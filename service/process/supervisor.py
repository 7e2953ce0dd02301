"""The supervisor of several workers: processes that serve the same port."""

import math
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

from caveat.models.errors import CaveatError
from caveat.service.desk.monitoring import log, metrics
from caveat.service.process import worker
from caveat.service.process.relay import Rounds
from caveat.service.process.worker import Ready, Started
from caveat.service.settings import Settings

_FORK = multiprocessing.get_context("fork")  # a worker starts with all modules imported

_STOPS = (signal.SIGINT, signal.SIGTERM)

_SHORT_LIFE = 1.0
"""Seconds between the start of a worker and its replacement at least, however soon the worker ends."""

_GRACE = 5.0
"""Seconds that a stopped worker has beyond the time to drain before it is killed."""


class Supervisor:
    """Runs several workers, and replaces each that ends without being told to.

    Each worker listens on a socket of its own from when it is ready until it ends. The system distributes
    connections among the listening sockets, so no client waits for a worker that is dead or not ready yet.

    Parameters
    ----------
    settings
        Settings of the service.
    bind
        Makes another socket bound to the port, which does not listen yet.
    """

    def __init__(self, settings: Settings, bind: Callable[[], socket.socket]) -> None:
        self._settings = settings
        self._bind = bind
        # The process, its pipe and its start time, by the sentinel that tells when it has ended.
        self._running: dict[int, tuple[ForkProcess, Connection, float]] = {}
        self._rounds = Rounds()
        self._due: list[float] = []  # times at which to start replacements
        self._stop_by = math.inf

    def run(self, ready: Ready) -> None:
        """Serve until told to stop.

        Raises
        ------
        CaveatError
            If the store can't be served.
        """
        with tempfile.TemporaryDirectory(prefix="caveat-metrics-") as folder:
            metrics.share(folder)
            log.share()
            for stop in _STOPS:
                signal.signal(stop, lambda *_: self._stop())
            reports = [self._start() for _ in range(self._settings.workers)]
            try:
                started = [_received(report) for report in reports]
            except CaveatError:
                self._stop()
                self._join()
                raise
            # The only model stays the default, also in workers that start after others have come.
            self._settings = self._settings.model_copy(update={"default_model": started[0].default})
            if not self._stopping:
                ready(started[0])
            self._look_after()

    @property
    def _stopping(self) -> bool:
        return self._stop_by < math.inf

    def _start(self) -> Connection:
        log.end()
        pipe, end = _FORK.Pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # until the worker has its own handlers
        with self._bind() as listener:
            process = _FORK.Process(target=_work, args=(self._settings, listener, end))
            process.start()
        end.close()
        self._running[process.sentinel] = (process, pipe, time.monotonic())
        self._rounds.join(pipe)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        return pipe

    def _stop(self) -> None:
        sign = signal.SIGINT if self._stopping else signal.SIGTERM  # a second stop is at once
        self._stop_by = time.monotonic() + self._settings.drain + _GRACE
        self._tell(sign)

    def _tell(self, sign: signal.Signals) -> None:
        for process, *_ in self._running.values():
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, sign)

    def _look_after(self) -> None:
        while self._running or (self._due and not self._stopping):
            came = wait([*self._running, *self._rounds.workers], self._pause())
            for pipe in self._rounds.workers.intersection(came):
                if isinstance(refusal := self._rounds.receive(pipe), str):
                    log.event("worker_failed", refusal, "error")
            for sentinel in set(self._running).intersection(came):
                self._reap(sentinel)
            now = time.monotonic()
            if now > self._stop_by:
                self._tell(signal.SIGKILL)
            for _ in [due for due in self._due if due <= now and not self._stopping]:
                self._start()
            self._due = [due for due in self._due if due > now]

    def _pause(self) -> float | None:
        """Compute the seconds until something is due; None if only the end of a worker is awaited."""
        until = min([self._stop_by, *self._due])
        return None if until == math.inf else max(0.1, until - time.monotonic())

    def _reap(self, sentinel: int) -> None:
        process, pipe, began = self._running.pop(sentinel)
        process.join()
        self._rounds.leave(pipe)
        if not self._stopping:
            log.event(
                "worker_replaced",
                f"worker {process.pid} ended with code {process.exitcode}; another one takes its place",
                "warning",
                worker=process.pid,
                code=process.exitcode,
            )
            metrics.forget(process.pid)
            self._due.append(max(time.monotonic(), began + _SHORT_LIFE))
        process.close()

    def _join(self) -> None:
        for process, *_ in self._running.values():
            process.join()


def _received(pipe: Connection) -> Started:
    try:
        started: Started | str = pipe.recv()
    except EOFError:
        started = "a worker ended before it was ready"
    if isinstance(started, str):
        raise CaveatError(started)
    return started


def _work(settings: Settings, listener: socket.socket, pipe: Connection) -> None:
    os.setpgid(0, 0)  # Ctrl-C on the terminal reaches only the supervisor, which tells the workers
    for stop in _STOPS:
        signal.signal(stop, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    try:
        worker.run(settings, listener, pipe.send, pipe)
    except CaveatError as error:
        pipe.send(str(error))
