"""Why the desk refuses a request; each door turns these into its protocol's statuses."""

from typing import ClassVar


class RefusedError(Exception):
    """A request that is refused.

    Parameters
    ----------
    detail
        What was wrong, and what to do about it.
    """

    retry_after: ClassVar[int | None] = None
    """Seconds after which to send the request again; None if that would not help."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class FullError(RefusedError):
    """There is no room for the request now."""

    retry_after = 1


class NotReadyError(RefusedError):
    """The models are not loaded, or the service is shutting down."""

    retry_after = 1


class ClosingError(NotReadyError):
    """The service is shutting down."""

    def __init__(self) -> None:
        super().__init__("the service is shutting down; try again shortly")


class LateError(RefusedError):
    """There is no answer by the deadline."""


class LeftError(RefusedError):
    """The client left before the answer."""

    def __init__(self) -> None:
        super().__init__("the connection ended before the answer")


class ConflictError(RefusedError):
    """The store as it stands does not allow it."""
