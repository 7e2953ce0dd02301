"""The error of a network that can't be exported."""

from caveat.models.errors import CaveatError


class ExportError(CaveatError):
    """A network that can't be exported as it is; the message says why and what to change."""
