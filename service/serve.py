"""The ``caveat serve`` command."""

import socket
from contextlib import ExitStack

from caveat.models.errors import CaveatError
from caveat.service import server
from caveat.service.settings import Settings
from caveat.service.versions.watch import report


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
                from caveat.service.workers import Workers  # which one process has no use for

                first.close()
                with _bind(host, port):  # keeps the port while nobody listens
                    Workers(self, lambda: _bind(host, port)).run(ready)


def _listen(host: str, port: int) -> socket.socket:
    """Take a port for this process alone."""
    listener = _bind(host, port, shared=False)
    try:
        listener.listen()
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from None
    return listener


def _bind(host: str, port: int, shared: bool = True) -> socket.socket:
    """Make a socket on a port, which others may share; it does not listen yet."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refused(host, port, error) from None
    options = [
        (socket.SOL_SOCKET, socket.SO_REUSEADDR, True),
        (socket.SOL_SOCKET, socket.SO_REUSEPORT, shared),
        # Connections inherit it. Else the body of an answer waits 40 ms for its head to be acknowledged;
        # asyncio sees to that only for sockets that it bound itself.
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, True),
        (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, family == socket.AF_INET6),
    ]
    try:
        for level, option, wanted in options:
            if wanted:
                listener.setsockopt(level, option, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from None
    return listener


def _refused(host: str, port: int, error: OSError) -> CaveatError:
    reason = str(error.strerror).partition(" (")[0]
    return CaveatError(f"cannot listen on {host} port {port}: {reason}")
