"""The log on stderr: JSON lines, or text where stderr is a terminal.

A thread writes the lines: a stalled reader never blocks the service, and the backlog is bounded.
"""

import json
import logging
import os
import select
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache, lru_cache
from typing import IO, Any, Final, Literal

import orjson

Level = Literal["info", "warning", "error"]

_MOST: Final = 6 * 2**20
"""Bytes (6 MiB) of the backlog at most."""

_WAIT: Final = 1.0
"""Seconds for which `Writer.close` waits for the backlog to be written."""

_LINGER: Final = 0.25
"""Seconds for which the idle thread waits for more lines, since starting another thread takes 0.4 ms."""


class Writer:
    """Writes lines to a file descriptor, on a thread that ends when no more lines come."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # One entry per call, with all of its lines: a thread that splits and joins lines would take the
        # interpreter from the event loop.
        self._waiting: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._ending = False
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, lines: Sequence[str]) -> None:
        """Queue lines for the thread; lines beyond the backlog are dropped, and a later line counts them."""
        text = "".join(lines).encode()
        with self._news:
            if self._size + len(text) > _MOST:
                self._dropped += len(lines)
            else:
                self._size += len(text)
                self._waiting.append(text)
            self._news.notify()
            if self._thread is None and self._waiting:
                self._ending = False
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait up to a second for the thread to write the backlog and end; later lines start another one."""
        with self._news:
            self._ending = True
            self._news.notify()
        if thread := self._thread:
            thread.join(_WAIT)

    def _run(self) -> None:
        while texts := self._next():
            with suppress(OSError), _alone():  # raised where the reader is gone for good
                for text in texts:
                    self._write_out(text)

    def _write_out(self, text: bytes) -> None:
        left = memoryview(text)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # the descriptor is set not to block; this thread may
                select.select([], [self._descriptor], [])

    def _next(self) -> list[bytes]:
        """Take the backlog; an empty list ends the thread."""
        with self._news:
            if not (self._waiting or self._dropped or self._ending):
                self._news.wait(_LINGER)
            texts, self._waiting, self._size = self._waiting, [], 0
            if self._dropped:
                message = f"{self._dropped} lines were dropped: the log's reader stalled"
                texts.append(line("log_dropped", message, "warning", {"lines": self._dropped}).encode())
                self._dropped = 0
            if not texts:
                self._thread = None
            return texts


_writer = Writer(2)

_turnstile: IO[bytes] | None = None
"""Lock of the processes that write to one pipe, where only writes of up to 4 KiB stay in one piece."""


def share() -> None:
    """Make all processes that are forked from now on take turns at writing."""
    global _turnstile
    if hasattr(os, "memfd_create"):  # on Linux; no disk that is full or can't be written to keeps it away
        _turnstile = open(os.memfd_create("caveat-log"), "wb")  # noqa: SIM115  # open for as long as a process writes
    else:
        _turnstile = tempfile.TemporaryFile()  # noqa: SIM115


@contextmanager
def _alone() -> Iterator[None]:
    if _turnstile is None:
        yield
        return
    import fcntl  # not on Windows

    fcntl.lockf(_turnstile, fcntl.LOCK_EX)  # the system releases the lock of a killed process
    try:
        yield
    finally:
        fcntl.lockf(_turnstile, fcntl.LOCK_UN)


def begin() -> None:
    """Set up the log of a process, also after a fork, and take the warnings that libraries log."""
    global _writer
    _writer = Writer(2)
    root = logging.getLogger()
    root.handlers = [_Handler()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)


def end() -> None:
    """Wait up to a second for the thread to write the backlog and end, so that a process may fork."""
    _writer.close()


def event(name: str, message: str, level: Level = "info", **facts: object) -> None:
    """Log an event other than a request.

    Parameters
    ----------
    name
        The kind of event, for machines.
    message
        One sentence on the event, for a person.
    level
        Severity of the event.
    facts
        Values of the event by name, for machines.
    """
    lines([line(name, message, level, facts)])


def failure(name: str, message: str, error: BaseException, **facts: object) -> None:
    """Log a fault of the service, with its traceback."""
    event(name, message, "error", **facts, traceback="".join(traceback.format_exception(error)))


def lines(written: Sequence[str]) -> None:
    """Write finished lines."""
    if written:
        _writer.write(written)


def line(name: str, message: str, level: Level, facts: Mapping[str, Any]) -> str:
    """Make the line of an event."""
    now = time.time()
    if on_terminal():
        told = " ".join(f"{key}={value}" for key, value in facts.items() if key != "traceback")
        below = str(facts.get("traceback", "")).rstrip()
        return text(now, level, message + f" ({told})" * bool(told)) + f"{below}\n" * bool(below)
    content = {"time": clock(now), "level": level, "event": name, "message": message, **facts}
    try:
        return orjson.dumps(content, default=str).decode() + "\n"
    except TypeError:  # a file name that is not valid UTF-8
        return json.dumps(content, default=str) + "\n"


def text(seconds: float, level: Level, message: str) -> str:
    """Make a line for a person; text from a client is escaped, so that it can't control the terminal."""
    moment = datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S.%f")[:-3]
    return f"{moment} {level:7} {message if message.isprintable() else repr(message)}\n"


def clock(seconds: float) -> str:
    """Format a time as ISO 8601, in UTC.

    >>> clock(0.0015)
    '1970-01-01T00:00:00.001Z'
    """
    return _clock(int(1000 * seconds))


@lru_cache(1024)  # under load, many lines share a millisecond
def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"


@cache
def on_terminal() -> bool:
    """Tell whether stderr is a terminal, so that a person reads the lines."""
    return os.isatty(2)


class _Handler(logging.Handler):
    """Takes the log records of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        told = record.getMessage().strip().encode(errors="replace").decode()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            failure("log", told, error, logger=record.name)
        else:
            event("log", told, "error" if record.levelno >= logging.ERROR else "warning", logger=record.name)
