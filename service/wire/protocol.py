"""HTTP with uvicorn's parser; a full service refuses requests without reading them."""

from functools import partial
from typing import Any, Final

from starlette.requests import ClientDisconnect

from caveat.service.wire.connection import Connection
from caveat.service.wire.refusals import Plain, Refusals

JOB: Final = "job"
"""Key, in the state of a request, of the job that its client waits for."""


class Protocol(Connection):
    """One connection.

    Parameters
    ----------
    refusals
        Refuses requests when the service is full.
    """

    def __init__(self, *args: Any, refusals: Refusals, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusals = refusals
        self._unread = 0  # bytes of a refused request that are still to come
        self._refused_at = 0.0
        self._put_off = False  # deferred: reading is paused until the request is admitted or refused

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, or refuse the request that they begin if the service is full."""
        if self._unread:
            unread, self._unread = self._unread, max(0, self._unread - len(data))
            data = data[unread:]
        if data and not (self._full and self._turn_away(data)):
            super().data_received(data)

    @property
    def _full(self) -> bool:
        return len(self.tasks) - len(self._patience.arriving) >= self._refusals.most

    def _turn_away(self, data: bytes) -> bool:
        """Refuse or defer a request that has just begun; tell whether that was possible."""
        busy = self._reading or self._answering or self.flow.write_paused
        recognised = None if busy or self._deaf else self._refusals.recognised(data)
        if recognised is None:
            return False
        self._patience.end(self)
        if self._refusals.at_once():
            self._refuse(recognised)
        else:
            self._put_off = True
            self.transport.pause_reading()
            self._refusals.put_off(partial(self._look_again, data, recognised))
        return True

    def _look_again(self, data: bytes, recognised: Plain) -> bool:
        """Admit or refuse a deferred request; tell whether it was refused."""
        self._put_off = False
        if self.transport.is_closing():
            return False
        self.transport.resume_reading()
        if refused := self._full:
            self._refuse(recognised)
        else:
            super().data_received(data)
        return refused

    def _refuse(self, request: Plain) -> None:
        self._unread = request.unread
        self._refused_at = self.loop.time()
        self._patience.begin(self)
        self.transport.write(self._refusals.answer(request))

    def timeout_keep_alive_handler(self) -> None:
        """Close the idle connection, unless a request was refused or deferred meanwhile."""
        idle_since = self.loop.time() if self._put_off else self._refused_at
        left = idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the connection, and fail the job that its client waited for."""
        super().connection_lost(exc)
        if self.scope and (job := self.scope["state"].get(JOB)):
            job.fail(ClientDisconnect())
