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
from typing import Any, Final

import uvicorn

from caveat.service import parent
from caveat.service.desk.desk import Desk
from caveat.service.desk.monitoring import log
from caveat.service.desk.versions.changes import News
from caveat.service.process import signals
from caveat.service.process.channel import Channel
from caveat.service.process.relay import Relay
from caveat.service.process.server import Server
from caveat.service.process.wire import files, tls
from caveat.service.process.wire.leaving import Leaving
from caveat.service.process.wire.protocol import Protocol
from caveat.service.process.wire.reply import Replies
from caveat.service.process.wire.shedding import Shedding
from caveat.service.process.wire.timeouts import Timeouts
from caveat.service.rest.app import App
from caveat.service.settings import Settings

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


@dataclass(frozen=True)
class Supervised:
    """What ties a process to its supervisor.

    Parameters
    ----------
    by
        Process id of the supervisor.
    channel
        Channel to it.
    """

    by: int
    channel: Channel


def run(
    settings: Settings, listener: socket.socket, ready: Ready, supervised: Supervised | None = None
) -> None:
    """Serve on a socket until told to stop.

    Parameters
    ----------
    settings
        Settings of the service.
    listener
        Bound socket, on which this process starts to listen.
    ready
        Called once the models are loaded.
    supervised
        The supervisor; None if this is the only process.

    Raises
    ------
    CaveatError
        If the store can't be served, or the certificate can't be used.
    """
    log.begin()
    try:
        _run(settings, listener, ready, supervised)
    finally:
        log.end()


def _run(settings: Settings, listener: socket.socket, ready: Ready, supervised: Supervised | None) -> None:
    context = tls.context(settings)
    desk = Desk(settings)
    # With Python's default, a request that arrives during a turn would wait up to 5 ms at each of its steps.
    sys.setswitchinterval(0.0001)
    shedding = Shedding(settings, desk.admission, desk.reports)
    protocol: Any = partial(
        Protocol,
        shedding=shedding,
        reports=desk.reports,
        timeouts=Timeouts(settings.client_timeout),
        leaving=Leaving(),
        replies=Replies(),
        most_connections=files.most_connections(),
    )
    config = uvicorn.Config(
        App(desk),
        http=protocol,
        ws="none",
        lifespan="off",  # its steps are carried out here: clients get a 503 while the models load
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ssl_context_factory=None if context is None else lambda *_: context,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        server = Server(config, desk, shedding, supervised.by if supervised else None)
        runner.run(
            _serve_with_others(server, listener, desk, ready, supervised)
            if supervised
            else _serve(server, listener, desk, ready)
        )


async def _serve(server: Server, listener: socket.socket, desk: Desk, ready: Ready) -> None:
    """Serve; clients get a 503 while the models load."""
    async with desk.running():
        serving = _listen(server, listener)
        loading = asyncio.create_task(asyncio.to_thread(_load, desk))
        await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():  # told to stop
            await serving
            log.end()
            os._exit(0)
        ready(loading.result())
        await serving


async def _serve_with_others(
    server: Server, listener: socket.socket, desk: Desk, ready: Ready, supervised: Supervised
) -> None:
    """Serve once the models are loaded; other workers get the connections until then."""
    async with desk.running():
        started = _load(desk)
        relay = Relay(desk.rollout.perform, desk.metrics, supervised.channel)
        desk.everywhere, desk.others = relay.everywhere, relay.others
        serving = _listen(server, listener)
        parent.on_end(supervised.by, signal.SIGTERM)  # there is something to drain by now
        ready(started)
        await serving
    relay.close()


def _listen(server: Server, listener: socket.socket) -> asyncio.Task[None]:
    for stop in signals.STOPS:
        signal.signal(stop, server.handle_exit)
    listener.listen(server.config.backlog)
    # uvloop accepts one connection per iteration from each socket: under load, when iterations are long, new
    # clients would wait for seconds. Copies of the socket multiply that.
    listeners = [listener, *(listener.dup() for _ in range(_ACCEPTED - 1))]
    return asyncio.create_task(server.serve(sockets=listeners))


def _load(desk: Desk) -> Started:
    changes = desk.load()
    # The loaded models stay; collecting garbage among them took 8 % of a request's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    return Started(desk.catalogue.described(), changes.news, desk.catalogue.default)
