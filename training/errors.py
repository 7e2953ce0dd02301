"""What training refuses, with a message that says what to change."""

from caveat.models.errors import CaveatError


class DataError(CaveatError):
    """Data that can't be learned from; the message names the file, the column, and what was expected."""


class ExportError(CaveatError):
    """A network that can't be exported as it is; the message says why and what to change."""
