"""Sockets to listen on."""

import socket

from caveat.models.errors import CaveatError


def listen(host: str, port: int) -> socket.socket:
    """Take a port for this process alone."""
    listener = bind(host, port, shared=False)
    try:
        listener.listen()
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from None
    return listener


def bind(host: str, port: int, shared: bool = True) -> socket.socket:
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
