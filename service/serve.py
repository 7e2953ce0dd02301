"""The ``caveat serve`` command."""

import asyncio
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from models.errors import CaveatError
from service.app import create_app
from service.catalogue import Catalogue
from service.door import Door
from service.settings import Settings


class Serve(Settings):
    """Serve every bundle of a store over HTTP.

    Each option can be given as an environment variable as well: --max-rows is CAVEAT_MAX_ROWS.
    """

    def cli_cmd(self) -> None:
        """Serve until told to stop."""
        # Uvicorn raises a signal anew once it has shut down; a stop that was asked for is no failure.
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, lambda *_: sys.exit(0))
        app = create_app(self)
        config = uvicorn.Config(app, lifespan="off", log_level="warning")
        with (
            _listen(self.host, self.port) as listener,
            asyncio.Runner(loop_factory=config.get_loop_factory()) as runner,
        ):
            runner.run(_serve(app, config, listener))


async def _serve(app: FastAPI, config: uvicorn.Config, listener: socket.socket) -> None:
    """Load, then serve. The lifespan is entered here and not by Uvicorn, whose errors are tracebacks."""
    async with app.router.lifespan_context(app):
        host, port = listener.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        print(f"Caveat serves {_words(app.state.endpoints.catalogue())} at {url}, see {url}/docs", flush=True)
        await _Server(config, app.state.endpoints.door).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Told to stop, lets nobody else in and ends when all who are in have their answers."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal stops at once."""
        if self._door.closing:
            super().handle_exit(sig, frame)
        self._door.closing = True

    async def on_tick(self, counter: int) -> bool:
        """Tell, several times a second, whether to end."""
        return await super().on_tick(counter) or (self._door.closing and self._door.requests == 0)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise CaveatError(f"cannot listen on {host} port {port}: {reason}") from None
    # Connections inherit it. Else the body of an answer waits 40 ms for its head to be acknowledged;
    # asyncio sees to that only for sockets that it bound itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _words(catalogue: Catalogue) -> str:
    """Say which models are loaded, such as ``digits 1, 2 (default) and wine 1``."""
    words = []
    for name in catalogue.models:
        versions = ", ".join(map(str, catalogue.versions(name)))
        words.append(f"{name} {versions}{' (default)' if name == catalogue.default else ''}")
    return " and ".join(words)
