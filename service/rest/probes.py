"""The routes that machines poll: health and metrics."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from caveat.service.desk.desk import Desk
from caveat.service.desk.monitoring import log
from caveat.service.rest.documentation.schemas import Health, Unlogged
from caveat.service.rest.models import Name


class ProbeHandlers:
    """Answers health and metrics."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def live(self) -> Health:
        """Answer that the process is alive."""
        return Health(status="live")

    async def ready(self) -> Health | Unlogged:
        """Answer whether the service is ready: models are loaded, and it is not shutting down.

        A log that can't be written makes no service unready, since all would be at once; the answer tells.
        """
        self._desk.check_ready()
        trouble = log.trouble()
        return Unlogged(status="ready", log=trouble) if trouble else Health(status="ready")

    async def model_ready(self, name: Name) -> Health:
        """Answer whether a model is ready: a version is loaded, and the service is not shutting down."""
        self._desk.check_ready(name)
        return Health(status="ready")

    async def expose_metrics(self) -> Response:
        """Write the metrics for Prometheus."""
        others = await self._desk.others() if self._desk.others else None
        self._desk.reports.fold()
        return Response(self._desk.metrics.text(others), media_type=CONTENT_TYPE_LATEST)
