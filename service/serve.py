"""The ``caveat serve`` command."""

import socket
from contextlib import ExitStack

from models.errors import CaveatError
from service import server
from service.settings import Settings
from service.watch import report


class Serve(Settings):
    """Serve every bundle of a store over HTTP.

    Each option can be given as an environment variable as well: --max-rows is CAVEAT_MAX_ROWS.
    """

    def cli_cmd(self) -> None:
        """Serve until told to stop."""
        with ExitStack() as stack:
            first = stack.enter_context(_listen(self.host, self.port))
            host, port = first.getsockname()[:2]
            scheme = "https" if self.tls_certificate else "http"
            url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

            def ready(started: server.Started) -> None:
                report(started.news)
                print(f"Caveat serves {started.words} at {url}, see {url}/docs", flush=True)

            if self.workers == 1:
                server.run(self, first, ready)
            else:
                from service.workers import Workers  # which one process has no use for

                first.close()
                each = [_listen(host, port, shared=True) for _ in range(self.workers)]
                Workers(self, [stack.enter_context(listener) for listener in each]).run(ready)


def _listen(host: str, port: int, shared: bool = False) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, reuse_port=shared)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise CaveatError(f"cannot listen on {host} port {port}: {reason}") from None
    # Connections inherit it. Else the body of an answer waits 40 ms for its head to be acknowledged;
    # asyncio sees to that only for sockets that it bound itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
