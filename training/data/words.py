"""Numbers of things in words."""


def counted(number: int, noun: str) -> str:
    """Count things in words.

    >>> counted(1, "value"), counted(1200, "value")
    ('1 value', '1,200 values')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
