"""What the door reads from the ASGI scope of a request, and keeps in it."""

from typing import Final

from starlette.types import Scope

from caveat.service.desk.monitoring.record import ELSEWHERE, Record, Trace

_RECORD: Final = "caveat.record"
"""Key of the record. It is not in the scope's state, which some servers share among requests."""

_PARENT: Final = (b"traceparent", b"tracestate")


def path_of(scope: Scope) -> str:
    """Give the path of a request within the application, which may be mounted below another path.

    >>> path_of({"path": "/caveat/predict", "root_path": "/caveat"}), path_of({"path": "/predict"})
    ('/predict', '/predict')
    """
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path[len(root) :] if root and (path == root or path.startswith(f"{root}/")) else path


def attach(scope: Scope, record: Record) -> None:
    """Attach a record to its request."""
    scope[_RECORD] = record


def record_of(scope: Scope) -> Record:
    """Give the record of a request."""
    record: Record = scope[_RECORD]
    return record


def trace_of(scope: Scope, record: Record) -> Trace:
    """Give what a trace has of a request besides its record, named as OpenTelemetry's conventions do."""
    parent = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _PARENT}
    attributes: dict[str, str | int] = {
        "http.request.method": record.method,
        "http.response.status_code": record.code,
        "url.scheme": scope["scheme"],
        "url.path": scope["path"],
    }
    if record.route is not ELSEWHERE:
        attributes["http.route"] = record.route
    if record.code >= 500:
        attributes["error.type"] = str(record.code)
    return Trace(parent, attributes)
