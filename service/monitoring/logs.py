"""Lines on stderr: as JSON, or as text where a person reads them on a terminal.

A thread writes them, so that a reader who does not read stops nobody; what he leaves is bounded.
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
"""Bytes (6 MiB) of lines that may wait to be written."""

_PATIENCE: Final = 1.0
"""Seconds for which an end waits for lines to be written."""

_LINGER: Final = 0.25
"""Seconds for which the thread waits for more: under load they come sooner, and to start one takes 0.4 ms."""


class Writer:
    """Writes lines to a descriptor, by a thread that lives as long as there are any."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: list[bytes] = []  # all lines of a call in one: a thread that cuts and joins would
        self._size = 0  # take the interpreter from the event loop
        self._dropped = 0
        self._ending = False
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, lines: Sequence[str]) -> None:
        """Write lines soon; those for which there is no room are dropped, and a later line counts them."""
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
        """Wait a moment until all is written and the thread over; the next lines start another one."""
        with self._news:
            self._ending = True
            self._news.notify()
        if thread := self._thread:
            thread.join(_PATIENCE)

    def _run(self) -> None:
        while texts := self._next():
            with suppress(OSError), _alone():  # which is raised where nobody will ever read it
                for text in texts:
                    self._write_out(text)

    def _write_out(self, text: bytes) -> None:
        left = memoryview(text)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # whoever has given the descriptor does not wish to wait; a thread may
                select.select([], [self._descriptor], [])

    def _next(self) -> list[bytes]:
        """Take what waits; nothing, and the thread is over."""
        with self._news:
            if not (self._waiting or self._dropped or self._ending):
                self._news.wait(_LINGER)
            texts, self._waiting, self._size = self._waiting, [], 0
            if self._dropped:
                message = f"{self._dropped} lines were dropped: nobody read them"
                texts.append(line("log_dropped", message, "warning", {"lines": self._dropped}).encode())
                self._dropped = 0
            if not texts:
                self._thread = None
            return texts


_writer = Writer(2)

_turnstile: IO[bytes] | None = None
"""What processes lock that write to one pipe, which takes no more than 4 KiB at once whole."""


def share() -> None:
    """Let all processes that are forked from now on write in turn."""
    global _turnstile
    _turnstile = tempfile.TemporaryFile()  # noqa: SIM115  # as long as there are any


@contextmanager
def _alone() -> Iterator[None]:
    if _turnstile is None:
        yield
        return
    import fcntl  # which Windows has not

    fcntl.lockf(_turnstile, fcntl.LOCK_EX)  # the lock of a process that is killed goes with it
    try:
        yield
    finally:
        fcntl.lockf(_turnstile, fcntl.LOCK_UN)


def begin() -> None:
    """Begin to log in a process, which may have been forked from one that logs; take in what others log."""
    global _writer
    _writer = Writer(2)
    root = logging.getLogger()
    root.handlers = [_Handler()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)


def end() -> None:
    """Wait a moment until all is written, and no thread is left that a fork could catch at it."""
    _writer.close()


def event(name: str, message: str, level: Level = "info", **facts: object) -> None:
    """Tell of something that is no request.

    Parameters
    ----------
    name
        The kind of event, for machines.
    message
        The same for a person, in one sentence.
    facts
        What a machine may want to know of it, by name.
    """
    lines([line(name, message, level, facts)])


def failure(name: str, message: str, error: BaseException, **facts: object) -> None:
    """Tell of a fault of the service, with its traceback."""
    event(name, message, "error", **facts, traceback="".join(traceback.format_exception(error)))


def lines(written: Sequence[str]) -> None:
    """Write lines that have been made already."""
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
    except TypeError:  # a name of a file that is no text
        return json.dumps(content, default=str) + "\n"


def text(seconds: float, level: Level, message: str) -> str:
    """Make a line for a person; what a client has sent can't steer the terminal."""
    moment = datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S.%f")[:-3]
    return f"{moment} {level:7} {message if message.isprintable() else repr(message)}\n"


def clock(seconds: float) -> str:
    """Tell a time as ISO 8601, in UTC.

    >>> clock(0.0015)
    '1970-01-01T00:00:00.001Z'
    """
    return _clock(int(1000 * seconds))


@lru_cache(1024)  # under load, many lines are of the same moment
def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"


@cache
def on_terminal() -> bool:
    """Tell whether a person reads the lines."""
    return os.isatty(2)


class _Handler(logging.Handler):
    """Takes what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        told = record.getMessage().strip().encode(errors="replace").decode()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            failure("log", told, error, logger=record.name)
        else:
            event("log", told, "error" if record.levelno >= logging.ERROR else "warning", logger=record.name)
