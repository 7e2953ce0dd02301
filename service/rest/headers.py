"""Security headers, which limit what a browser does with an answer."""

from typing import Final

EVERYWHERE: Final = {"X-Content-Type-Options": "nosniff"}
"""Headers of every answer: a browser must not guess its type."""

EVERYWHERE_RAW: Final = [(name.lower().encode(), value.encode()) for name, value in EVERYWHERE.items()]
"""The same headers as ASGI has them, in pairs of bytes."""


SANDBOX: Final = "sandbox"
"""Directive for a page from elsewhere: it may run no script, send no form and lead nowhere by itself."""


def of_page(*directives: str, **sources: str) -> dict[str, str]:
    """Write the headers of a page that may load only the ``sources``, and must not be framed.

    >>> of_page(style_src="'self'")["Content-Security-Policy"]
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'self'"
    """
    none = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    policy = none | {name.replace("_", "-"): source for name, source in sources.items()}
    return {
        "Content-Security-Policy": "; ".join(
            [*(f"{name} {source}" for name, source in policy.items()), *directives]
        ),
        "Referrer-Policy": "no-referrer",
    }
