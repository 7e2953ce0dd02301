"""Whether traces are made: as the standard variables of OpenTelemetry say."""

import os
from typing import TYPE_CHECKING, Final

from caveat.models.errors import CaveatError

if TYPE_CHECKING:  # it needs an extra
    from caveat.service.monitoring.traces import Traces

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def from_environment() -> "Traces | None":
    """Prepare to make traces, if a variable says where they go.

    Raises
    ------
    CaveatError
        If what makes them is not installed.
    """
    endpoint = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if endpoint is None or disabled or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    try:
        from caveat.service.monitoring.traces import Traces
    except ModuleNotFoundError as error:
        raise CaveatError(
            f"{endpoint} asks for traces, which need {error.name}: pip install 'caveat[tracing]'"
        ) from None
    return Traces()
