"""HTTP with uvicorn's parser; a full service refuses requests without reading them."""

from functools import partial
from typing import Any

from caveat.service.process.wire.connection import Connection
from caveat.service.process.wire.reply import Replies
from caveat.service.process.wire.shedding import Plain, Shedding
from caveat.service.rest.reply import WHOLE


class Protocol(Connection):
    """One connection.

    Parameters
    ----------
    shedding
        Refuses requests when the service is full.
    replies
        Sends whole answers at once.
    """

    def __init__(self, *args: Any, shedding: Shedding, replies: Replies, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shedding = shedding
        self.app_state = {WHOLE: replies.send}  # what uvicorn puts into the state of each request
        self._unread = 0  # bytes of a refused request that are still to come
        self._refused_at = 0.0
        self._deferred = False  # deferred: reading is paused until the request is admitted or refused

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, or refuse the request that they begin if the service is full."""
        if self._unread:
            unread, self._unread = self._unread, max(0, self._unread - len(data))
            self.discard(min(unread, len(data)))
            data = data[unread:]
        if data and not (self._is_full(data) and self._shed(data)):
            super().data_received(data)

    def _is_full(self, data: bytes) -> bool:
        asking = self._shedding.asking
        return self._shedding.is_full(len(asking) - len(asking & self._timeouts.arriving), data)

    def on_headers_complete(self) -> None:
        """Start answering a request; note one that will ask for a place."""
        super().on_headers_complete()
        if self._in_body and self._shedding.asks(self.scope):  # type: ignore[arg-type]
            self._shedding.asking.add(self)

    def on_response_complete(self) -> None:
        """Note the end of an answer."""
        self._shedding.asking.discard(self)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the connection."""
        self._shedding.asking.discard(self)
        super().connection_lost(exc)

    def _read_on(self) -> None:
        if not self._deferred:
            super()._read_on()

    def _shed(self, data: bytes) -> bool:
        """Refuse or defer a request that has just begun; tell whether that was possible."""
        busy = self._reading or self._answering or self.flow.write_paused
        recognised = None if busy or self._closing else self._shedding.recognised(data)
        if recognised is None:
            return False
        self._timeouts.forget(self)
        if self._shedding.may_refuse():
            self._refuse(recognised)
        else:
            self._deferred = True
            self.flow.hold()
            self._shedding.defer(partial(self._retry, data, recognised))
        return True

    def _retry(self, data: bytes, recognised: Plain) -> bool:
        """Admit or refuse a deferred request; tell whether it was refused."""
        self._deferred = False
        if self.transport.is_closing():
            return False
        self.flow.release()
        if refused := self._is_full(data):
            self._refuse(recognised)
        else:
            super().data_received(data)
        return refused

    def _refuse(self, request: Plain) -> None:
        self._unread = request.unread
        self._refused_at = self.loop.time()
        self._timeouts.begin(self)
        self.transport.write(self._shedding.answer(request))

    def timeout_keep_alive_handler(self) -> None:
        """Close the idle connection, unless a request was refused or deferred meanwhile."""
        idle_since = self.loop.time() if self._deferred else self._refused_at
        left = idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()
