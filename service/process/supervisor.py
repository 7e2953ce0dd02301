"""The supervisor of several workers: processes that serve the same port."""

import math
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import Final

from caveat.models.errors import CaveatError
from caveat.service import parent
from caveat.service.desk.monitoring import log
from caveat.service.desk.versions.changes import Changes
from caveat.service.desk.versions.watch import report
from caveat.service.process import signals, worker
from caveat.service.process.channel import Channel
from caveat.service.process.counts import Counts
from caveat.service.process.messages import Beat, Done, Order, Others, Wanted
from caveat.service.process.pulse import Pulse
from caveat.service.process.rounds import Rounds
from caveat.service.process.worker import Ready, Started, Supervised
from caveat.service.settings import Settings

_FORK: Final = multiprocessing.get_context("fork")  # a worker starts with all modules imported

_SHORT_LIFE: Final = 1.0
"""Seconds between the start of a worker and its replacement at least, however soon the worker ends."""

_GRACE: Final = 5.0
"""Seconds that a stopped worker has beyond the time to drain before it is killed."""

_LOOK: Final = 0.25
"""Seconds between two looks at the workers."""

_LAG: Final = 0.5
"""Seconds beyond, after which the machine or this process stood still, and silence tells nothing."""


@dataclass
class _Worker:
    process: ForkProcess
    channel: Channel
    pulse: Pulse
    began: float
    ready: bool = False
    killed: bool = False

    @property
    def pid(self) -> int:
        assert self.process.pid is not None  # it has started
        return self.process.pid


class Supervisor:
    """Runs several workers, and replaces each that ends without being told to, or hangs.

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
        self._running: dict[int, _Worker] = {}  # by the sentinel that tells when the process has ended
        self._rounds = Rounds()
        self._counts = Counts()
        self._due: list[float] = []  # times at which to start replacements
        self._ready: Ready | None = None  # until the first workers are ready
        self._refusal: str | None = None
        self._looked = math.inf
        self._stop_by = math.inf

    def run(self, ready: Ready) -> None:
        """Serve until told to stop.

        Raises
        ------
        CaveatError
            If the store can't be served.
        """
        log.share()
        signals.on_stop(self._stop)
        self._ready = ready
        try:
            for _ in range(self._settings.workers):
                self._start()
        except (CaveatError, OSError) as error:  # no room for another process, or for its files
            self._refuse(f"can't start {self._settings.workers} workers: {error}")
        while self._running or (self._due and not self._stopping):
            self._look_after()
        if self._refusal:
            raise CaveatError(self._refusal)

    @property
    def _stopping(self) -> bool:
        return self._stop_by < math.inf

    def _start(self) -> None:
        log.end()
        ours, theirs = Channel.pair()
        others = [each.channel for each in self._running.values()]
        signal.pthread_sigmask(signal.SIG_BLOCK, signals.STOPS)  # until the worker has its own handlers
        try:
            with self._bind() as listener:
                process = _FORK.Process(
                    target=_work,
                    args=(self._settings, listener, Supervised(os.getpid(), theirs), [ours, *others]),
                )
                process.start()
            now = time.monotonic()
            assert process.pid is not None
            self._running[process.sentinel] = _Worker(process, ours, Pulse(process.pid, now), now)
            self._rounds.join(ours)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.STOPS)
        if self._stopping:  # since just before the fork
            self._tell(signal.SIGTERM)

    def _stop(self) -> None:
        sign = signal.SIGINT if self._stopping else signal.SIGTERM  # a second stop is at once
        self._stop_by = time.monotonic() + self._settings.drain + _GRACE
        self._tell(sign)

    def _refuse(self, reason: str) -> None:
        """End a start that can't work."""
        self._refusal = self._refusal or reason
        if not self._stopping:
            self._stop()

    def _tell(self, sign: signal.Signals) -> None:
        for each in self._running.values():
            if each.process.is_alive():
                os.kill(each.pid, sign)

    def _look_after(self) -> None:
        heard = [each.channel.fileno() for each in self._running.values() if not each.channel.ended]
        came = set(wait([*self._running, *heard], _LOOK))
        now = time.monotonic()
        for each in self._running.values():
            if each.channel.fileno() in came:
                self._receive(each, now)
        for sentinel in [each for each in self._running if each in came]:
            self._reap(sentinel, now)
        self._check_pulses(now)
        if now > self._stop_by:
            self._tell(signal.SIGKILL)
        if signals.reload_asked() and not self._stopping:
            log.event("reload", "SIGHUP: updating from the store")
            self._rounds.begin("retry", _tell_of)
        for each in self._running.values():
            each.channel.flush()
        self._replace(now)

    def _receive(self, sender: _Worker, now: float) -> None:
        for message in sender.channel.receive():
            sender.pulse.beat(now)
            match message:
                case Beat(counts):
                    self._counts.take(sender.channel, counts)
                case Wanted():
                    sender.channel.send(Others(self._counts.others(sender.channel)))
                case Order() | Done():
                    self._rounds.take(sender.channel, message)
                case Started():
                    sender.ready = True
                    self._note_ready(message)
                case str() if self._ready:
                    self._refuse(message)
                case str():
                    log.event("worker_failed", message, "error")

    def _note_ready(self, started: Started) -> None:
        """Tell that the service is ready once the first workers are."""
        if self._ready and not self._stopping and all(each.ready for each in self._running.values()):
            # The only model stays the default, also in workers that start after others have come.
            self._settings = self._settings.model_copy(update={"default_model": started.default})
            self._ready(started)
            self._ready = None

    def _check_pulses(self, now: float) -> None:
        if now - self._looked > _LOOK + _LAG:
            for each in self._running.values():
                each.pulse.beat(now)
        self._looked = now
        for each in self._running.values():
            beats = each.ready and not self._stopping
            if not each.killed and (how := each.pulse.hangs(now, beats)):
                log.event("worker_hung", f"worker {each.pid} {how}; it is killed", "error", worker=each.pid)
                each.killed = True
                each.process.kill()

    def _reap(self, sentinel: int, now: float) -> None:
        ended = self._running.pop(sentinel)
        ended.process.join()
        self._rounds.leave(ended.channel)
        self._counts.end(ended.channel)
        ended.channel.close()
        if self._ready and not self._stopping:
            self._refuse("a worker ended before it was ready")
        if not self._stopping:
            log.event(
                "worker_replaced",
                f"worker {ended.pid} ended with code {ended.process.exitcode}; another one takes its place",
                "warning",
                worker=ended.pid,
                code=ended.process.exitcode,
            )
            self._due.append(max(now, ended.began + _SHORT_LIFE))
        ended.process.close()

    def _replace(self, now: float) -> None:
        due, self._due = self._due, [each for each in self._due if each > now]
        for _ in range(len(due) - len(self._due)):
            if self._stopping:
                return
            try:
                self._start()
            except (CaveatError, OSError) as error:
                log.event("worker_failed", f"can't start a worker: {error}", "error")
                self._due.append(now + _SHORT_LIFE)


def _tell_of(changes: Changes) -> None:
    report(changes.news)
    if changes.trouble:
        log.event("store", f"nothing has changed: {changes.trouble}", "error")


def _work(
    settings: Settings, listener: socket.socket, supervised: Supervised, inherited: Sequence[Channel]
) -> None:
    os.setpgid(0, 0)  # Ctrl-C on the terminal reaches only the supervisor, which tells the workers
    parent.on_end(supervised.by, signal.SIGKILL)
    signals.on_stop(lambda: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor's alone
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.STOPS)
    for channel in inherited:
        channel.close()
    try:
        worker.run(settings, listener, supervised.channel.send, supervised)
    except CaveatError as error:
        supervised.channel.send(str(error))
