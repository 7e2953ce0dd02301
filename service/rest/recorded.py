"""The record of a request, in the request's scope."""

from typing import Final

from starlette.types import Scope

from caveat.service.desk.monitoring.record import Record, Trace

_RECORD: Final = "caveat.record"
"""Key of the record in the scope: some servers share the state of requests among them."""

_PARENT: Final = (b"traceparent", b"tracestate")


def attach(scope: Scope, record: Record) -> None:
    """Attach a record to its request."""
    scope[_RECORD] = record


def of(scope: Scope) -> Record:
    """Give the record of a request."""
    record: Record = scope[_RECORD]
    return record


def trace_of(scope: Scope) -> Trace:
    """Read what a trace has of a request."""
    parent = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _PARENT}
    return Trace(parent, {"url.scheme": scope["scheme"], "url.path": scope["path"]})
