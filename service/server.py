"""One process that serves: it loads the store, answers, and ends when all who came in have their answers."""

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
"""Connections that are accepted in one round of the event loop."""


@dataclass(frozen=True)
class Started:
    """What is told once the models are loaded.

    Parameters
    ----------
    words
        Which models they are.
    news
        What is not as it should be.
    default
        The model that is asked by default.
    """

    words: str
    news: tuple[News, ...]
    default: str | None


Ready = Callable[[Started], None]


def run(settings: Settings, listener: socket.socket, ready: Ready, pipe: Pipe | None = None) -> None:
    """Serve on a socket until told to stop.

    Parameters
    ----------
    pipe
        To the process that looks after this one and others, if there are several.

    Raises
    ------
    CaveatError
        If the store can't be served, or not with this certificate.
    """
    # A stop that was asked for is no failure, at no time. (Nor is it an exception, which whoever is at work
    # might take for an error.)
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
    # Else a request that comes while a turn runs waits up to 5 ms for each of its own steps.
    sys.setswitchinterval(0.0001)
    # The lifespan is not entered: all that it does is done here, where its errors are no tracebacks.
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
    if pipe:  # clients are dealt to other workers until this one can answer
        started = _load(endpoints)
        endpoints.relay.connect(pipe)
        serving = _listen(server, listener, endpoints.door)
    else:  # they are told meanwhile that nothing is loaded yet
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
    # uvloop accepts one connection a round from a socket: under load, when rounds are long, new clients
    # would wait for seconds. Copies of the socket are accepted from one by one, too.
    listeners = [listener, *(listener.dup() for _ in range(_ACCEPTED - 1))]
    return asyncio.create_task(server.serve(sockets=listeners))


def _load(endpoints: Endpoints) -> Started:
    outcome = endpoints.load()
    # What is loaded stays; looking through it for garbage again and again took 8 % of a request's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    catalogue = endpoints.catalogue()
    return Started(catalogue.described(), outcome.news, catalogue.default)


def _on_stop(act: Callable[[], object]) -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: act())
