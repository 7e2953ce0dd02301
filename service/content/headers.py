"""The headers that keep a browser from doing more with an answer than to show it."""

from typing import Final

EVERYWHERE: Final = {"X-Content-Type-Options": "nosniff"}
"""On every answer: it is of the type that it says, and none that a browser guesses."""


def of_page(**sources: str) -> dict[str, str]:
    """Write the headers of a page, which may load what is named here, nothing else, and stands in no frame.

    >>> of_page(style_src="'self'")["Content-Security-Policy"]
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'self'"
    """
    none = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    policy = none | {name.replace("_", "-"): source for name, source in sources.items()}
    return {
        "Content-Security-Policy": "; ".join(f"{name} {source}" for name, source in policy.items()),
        "Referrer-Policy": "no-referrer",
    }
