"""The error of data that can't be learned from."""

from caveat.models.errors import CaveatError


class DataError(CaveatError):
    """Data that can't be learned from; the message names the file, the column, and what was expected."""
