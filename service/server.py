"""One serving process: it loads the store, answers requests, and drains when told to stop."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final

import uvicorn

from caveat.service.app import create_app
from caveat.service.content.headers import EVERYWHERE
from caveat.service.door import Door
from caveat.service.endpoints import Endpoints
from caveat.service.monitoring import logs
from caveat.service.settings import Settings
from caveat.service.stopping import Server
from caveat.service.versions.outcome import News
from caveat.service.versions.watch import watch
from caveat.service.wire import files, tls
from caveat.service.wire.patience import Patience
from caveat.service.wire.protocol import Protocol
from caveat.service.wire.refusals import Refusals

_ACCEPTED: Final = 16
"""Connections accepted per iteration of the event loop."""


@dataclass(frozen=True)
class Started:
    """Report of a process whose models are loaded.

    Parameters
    ----------
    words
        The loaded models, in words.
    news
        Problems for the log.
    default
        Name of the default model; None if there is none.
    """

    words: str
    news: tuple[News, ...]
    default: str | None


Ready = Callable[[Started], None]


def run(settings: Settings, listener: socket.socket, ready: Ready, pipe: Pipe | None = None) -> None:
    """Serve on a socket until told to stop.

    Parameters
    ----------
    settings
        Settings of the service.
    listener
        Bound socket, on which this process starts to listen.
    ready
        Called once the models are loaded.
    pipe
        Connection to the supervisor; None if this is the only process.

    Raises
    ------
    CaveatError
        If the store can't be served, or the certificate can't be used.
    """
    # A requested stop is never a failure, so the process ends with code 0. An exception in its place could
    # be caught, and taken for an error, by any code that runs at that moment.
    _on_stop(lambda: os._exit(0))
    logs.begin()
    try:
        _run(settings, listener, ready, pipe)
    finally:
        logs.end()


def _run(settings: Settings, listener: socket.socket, ready: Ready, pipe: Pipe | None) -> None:
    context = tls.context(settings)
    app = create_app(settings)
    endpoints: Endpoints = app.state.endpoints
    # With Python's default, a request that arrives during a turn would wait up to 5 ms at each of its steps.
    sys.setswitchinterval(0.0001)
    # uvicorn would log errors of the lifespan as tracebacks, so its steps are carried out here.
    refusals = Refusals(settings, endpoints.ledger)
    patience = Patience(settings.client_timeout)
    protocol: Any = partial(
        Protocol,
        refusals=refusals,
        ledger=endpoints.ledger,
        patience=patience,
        most_connections=files.most_connections(),
    )
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=list(EVERYWHERE.items()),
        ssl_context_factory=None if context is None else lambda *_: context,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        server = Server(config, endpoints, refusals, supervised=pipe is not None)
        runner.run(_serve(server, listener, endpoints, ready, pipe))
    endpoints.close()


async def _serve(
    server: Server, listener: socket.socket, endpoints: Endpoints, ready: Ready, pipe: Pipe | None
) -> None:
    if pipe:  # other workers get the connections until this one listens
        started = _load(endpoints)
        endpoints.relay.connect(pipe)
        serving = _listen(server, listener, endpoints.door)
    else:  # clients get a 503 while the models load
        serving = _listen(server, listener, endpoints.door)
        loading = asyncio.create_task(asyncio.to_thread(_load, endpoints))
        await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():  # told to stop
            await serving
            logs.end()
            os._exit(0)
        started = loading.result()
    ready(started)
    watching = asyncio.create_task(
        watch(endpoints.rollout, endpoints.relay, endpoints.settings.poll), name="watch"
    )
    try:
        await serving
    finally:
        watching.cancel()


def _listen(server: Server, listener: socket.socket, door: Door) -> asyncio.Task[None]:
    _on_stop(door.close)
    listener.listen(server.config.backlog)
    # uvloop accepts one connection per iteration from each socket: under load, when iterations are long, new
    # clients would wait for seconds. Copies of the socket multiply that.
    listeners = [listener, *(listener.dup() for _ in range(_ACCEPTED - 1))]
    return asyncio.create_task(server.serve(sockets=listeners))


def _load(endpoints: Endpoints) -> Started:
    outcome = endpoints.load()
    # The loaded models stay; collecting garbage among them took 8 % of a request's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    catalogue = endpoints.catalogue()
    return Started(catalogue.described(), outcome.news, catalogue.default)


def _on_stop(act: Callable[[], object]) -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: act())
