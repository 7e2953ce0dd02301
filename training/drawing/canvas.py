"""Drawing of plots in one style, with the same bytes for the same numbers."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE: Final = "#2563a8"
ORANGE: Final = "#d97706"
RED: Final = "#b91c1c"
GREY: Final = "#6b7280"
PALE: Final = "#c7d7ea"
COLOURS: Final = (BLUE, ORANGE, "#0f766e", RED, GREY, "#7c3aed", "#84570a")

_STYLE: Final[Any] = {
    "svg.hashsalt": "caveat",
    "svg.fonttype": "none",
    "text.parse_math": False,  # names of classes and scores may hold a $
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True)
class Plot:
    """A drawing as SVG, with a title and a caption that says how to read it."""

    title: str
    reading: str
    drawing: str


def plot(title: str, reading: str, draw: Callable[["Axes"], None]) -> Plot:
    """Draw on axes; the title labels the drawing too."""
    return Plot(title, reading, svg(draw, title))


def svg(draw: Callable[["Axes"], None], alt: str) -> str:
    """Draw on axes; give an ``<svg>`` that scales with the page, labelled ``alt``."""
    import matplotlib as mpl  # slow to import, and an export draws nothing
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 3.7), layout="constrained")
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    drawing = text[text.index("<svg") :]
    return re.sub(r' width="[^"]*" height="[^"]*"', f' role="img" aria-label="{alt}"', drawing, count=1)
