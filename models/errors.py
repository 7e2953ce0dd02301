"""The mistakes that a user can make, as one family."""


class CaveatError(ValueError):
    """A user's mistake: the message says what was wrong, where, and what was expected."""
