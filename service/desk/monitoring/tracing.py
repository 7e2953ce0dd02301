"""Turns tracing on, as the standard environment variables of OpenTelemetry say."""

import os
from typing import TYPE_CHECKING, Final

from caveat.models.errors import CaveatError

if TYPE_CHECKING:  # needs the extra tracing
    from caveat.service.desk.monitoring.spans import Spans

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def from_environment() -> "Spans | None":
    """Set up traces if a variable names an endpoint for them; None if not.

    Raises
    ------
    CaveatError
        If the packages for traces are not installed.
    """
    endpoint = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if endpoint is None or disabled or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    try:
        from caveat.service.desk.monitoring.spans import Spans
    except ModuleNotFoundError as error:
        raise CaveatError(
            f"{endpoint} asks for traces, which need {error.name}: "
            "pip install '.[tracing]' in Caveat's folder"
        ) from None
    return Spans()
