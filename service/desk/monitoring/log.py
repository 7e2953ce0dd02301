"""The log on stderr: JSON lines, or text where stderr is a terminal.

A thread writes the lines: a stalled reader never blocks the service, and the backlog is bounded.
"""

import json
import logging
import os
import select
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
        self._reason = ""
        self._torn = False  # the last line was cut off
        self._ending = False
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self.trouble: str | None = None
        """Why the last lines could not be written; None if they were."""

    def write(self, lines: Sequence[str]) -> None:
        """Queue lines for the thread; lines beyond the backlog are dropped, and a later line counts them."""
        text = "".join(lines).encode()
        with self._news:
            if self._size + len(text) > _MOST:
                self._dropped += len(lines)
                self._reason = "the log's reader stalled"
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
        while (texts := self._next()) is not None:
            try:
                with _alone():
                    while texts:
                        self._write_out(texts[0])
                        del texts[0]
                    self._tell_of_dropped()
                self.trouble = None
            except OSError as error:  # the disk is full, or the reader is gone for good
                self._lose(texts, error)

    def _write_out(self, text: bytes) -> None:
        left = memoryview(b"\n" * self._torn + text)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
                self._torn = bool(left)
            except BlockingIOError:  # the descriptor is set not to block; this thread may
                select.select([], [self._descriptor], [])

    def _tell_of_dropped(self) -> None:
        if count := self._dropped:
            message = f"{count} lines were dropped: {self._reason}"
            self._write_out(line("log_dropped", message, "warning", {"lines": count}).encode())
            with self._news:
                self._dropped -= count

    def _lose(self, texts: Sequence[bytes], error: OSError) -> None:
        with self._news:
            self._dropped += sum(text.count(b"\n") for text in texts)
            self._reason = self.trouble = f"the log can't be written: {error.strerror}"

    def _next(self) -> list[bytes] | None:
        """Take the backlog; None ends the thread."""
        with self._news:
            # Of lines that were lost, the next ones that can be written bring the news.
            untold = self._dropped and not self.trouble
            if not (self._waiting or untold or self._ending):
                self._news.wait(_LINGER)
            texts, self._waiting, self._size = self._waiting, [], 0
            if texts or untold:
                return texts
            self._thread = None
            return None


_writer = Writer(2)

_turnstile: IO[bytes] | None = None
"""Lock of the processes that write to one pipe, where only writes of up to 4 KiB stay in one piece."""


def share() -> None:
    """Make all processes that are forked from now on take turns at writing."""
    global _turnstile
    # In memory, on Linux: no disk that is full, or that can't be written to, takes it away.
    memory = os.memfd_create("caveat-log") if sys.platform == "linux" else None
    _turnstile = tempfile.TemporaryFile() if memory is None else open(memory, "wb")  # noqa: SIM115  # stays open


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


def trouble() -> str | None:
    """Tell why the last lines could not be written; None if they were."""
    return _writer.trouble


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
