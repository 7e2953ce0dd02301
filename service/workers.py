"""Several processes that serve the same port, and one that looks after them."""

import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

from models.errors import CaveatError
from service import logs, metrics, server
from service.relay import Rounds
from service.server import Ready, Started
from service.settings import Settings

_FORK = multiprocessing.get_context("fork")  # each begins with what is imported already

_STOPS = (signal.SIGINT, signal.SIGTERM)

_SHORT_LIFE = 1.0
"""Seconds; a worker that ended sooner is not replaced before they are over."""


class Workers:
    """Runs one worker for each listener, and another one in place of each that ends unasked.

    Parameters
    ----------
    listeners
        Sockets on one port; the system deals connections out to them.
    """

    def __init__(self, settings: Settings, listeners: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._listeners = listeners
        self._running: dict[int, tuple[ForkProcess, socket.socket, Connection, float]] = {}
        self._rounds = Rounds()
        self._stopping = False

    def run(self, ready: Ready) -> None:
        """Serve until told to stop.

        Raises
        ------
        CaveatError
            If the store can't be served.
        """
        with tempfile.TemporaryDirectory(prefix="caveat-metrics-") as folder:
            metrics.share(folder)
            for stop in _STOPS:
                signal.signal(stop, lambda *_: self._stop())
            reports = [self._start(listener) for listener in self._listeners]
            try:
                started = [_received(report) for report in reports]
            except CaveatError:
                self._stop()
                self._join()
                raise
            # What was the only model stays the default, in workers that begin later too.
            self._settings = self._settings.model_copy(update={"default_model": started[0].default})
            if not self._stopping:
                ready(started[0])
            self._look_after()

    def _start(self, listener: socket.socket) -> Connection:
        pipe, end = _FORK.Pipe()
        process = _FORK.Process(target=_work, args=(self._settings, listener, end))
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # until the worker has handlers of its own
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        end.close()
        self._running[process.sentinel] = (process, listener, pipe, time.monotonic())
        self._rounds.join(pipe)
        return pipe

    def _stop(self) -> None:
        self._stopping = True
        for process, *_ in self._running.values():
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)

    def _look_after(self) -> None:
        while self._running:
            came = wait([*self._running, *self._rounds.workers])
            for pipe in self._rounds.workers.intersection(came):
                if isinstance(refusal := self._rounds.receive(pipe), str):
                    logs.event("worker_failed", refusal, "error")
            for sentinel in set(self._running).intersection(came):
                process, listener, pipe, began = self._running.pop(sentinel)
                process.join()
                self._rounds.leave(pipe)
                if self._stopping:
                    continue
                logs.event(
                    "worker_replaced",
                    f"worker {process.pid} ended with code {process.exitcode}; another one takes its place",
                    "warning",
                    worker=process.pid,
                    code=process.exitcode,
                )
                metrics.forget(process.pid)
                time.sleep(max(0.0, _SHORT_LIFE - (time.monotonic() - began)))
                self._start(listener)

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
    for stop in _STOPS:
        signal.signal(stop, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    try:
        server.run(settings, listener, pipe.send, pipe)
    except CaveatError as error:
        pipe.send(str(error))
