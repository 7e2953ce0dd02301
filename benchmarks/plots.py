"""Plots of the benchmarks' figures, drawn from the JSON that the programs write.

Each program draws its own plot beside its JSON; this program redraws all of them, such as into
docs/benchmarks.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report import RESULTS, parser, read

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "caveat",  # equal figures give equal files
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}
OURS, LIGHT, OTHERS = "#0a6aa1", "#8fc1de", "#b8b8b8"
POINTS: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}
SERIES = (OURS, "#d1651f", "#4b9b57", "#7d5ba6")


def main() -> None:
    """Draw every plot that has figures."""
    arguments = parser(__doc__)
    arguments.add_argument("folder", type=Path, help="where to write, such as docs/benchmarks")
    folder = arguments.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLOTS:
        if (RESULTS / f"{name}.json").exists():
            draw(name, folder / f"{name}.svg")


def draw(name: str, path: Path) -> None:
    """Draw the plot of a program's figures."""
    results = read(name)
    fill, title, size = PLOTS[name]
    mpl.use("svg")
    with mpl.rc_context(STYLE):
        figure = pyplot.figure(figsize=size, layout="constrained")
        fill(figure, results["figures"])
        machine = f"{results['processor']}, {results['cores']} cores"
        figure.suptitle(f"{title} ({machine})", x=0.01, ha="left", fontsize=10, fontweight="bold")
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def serving(figure: Figure, figures: dict[str, Any]) -> None:
    """Draw answers per second of every server, a panel for each network."""
    panels = figure.subplots(1, len(figures), sharey=True, squeeze=False)[0]
    for panel, (net, servers) in zip(panels, figures.items(), strict=True):
        rates = [of["32"] for of in servers.values()]
        colours = [OURS if name == "Caveat" else LIGHT if "Caveat" in name else OTHERS for name in servers]
        bars = panel.barh(list(servers), rates, color=colours, height=0.7)
        panel.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=3)
        panel.set(title=net, xlabel="answers per second", xscale="log", xlim=(10, 4 * max(rates)))
        panel.grid(axis="x")
    panels[0].invert_yaxis()


def products(figure: Figure, figures: list[dict[str, Any]]) -> None:
    """Draw milliseconds of the passes and of the products, a panel for each network."""
    nets = list(dict.fromkeys(row["network"] for row in figures))
    for panel, net in zip(figure.subplots(1, len(nets), sharey=True), nets, strict=True):
        rows = [row for row in figures if row["network"] == net]
        pairs = {"bare products": "products", "passes and statistics": "passes"}
        side_by_side(
            panel, [str(row["rows"]) for row in rows], {k: [r[v] for r in rows] for k, v in pairs.items()}
        )
        panel.set(title=net, xlabel="rows", ylabel="ms", yscale="log")
        for place, row in enumerate(rows):
            share = row["products"] / row["passes"]
            panel.annotate(f"{share:.2f}", (place, row["passes"]), (0, 3), ha="center", **POINTS)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def passes(figure: Figure, figures: dict[str, Any]) -> None:
    """Draw CPU time of PyTorch's better way and of Caveat, a panel for each network."""
    threads = min(figures, key=int)
    nets = figures[threads]
    across = min(3, len(nets))
    panels = figure.subplots(-(-len(nets) // across), across, squeeze=False).flat
    for (net, cells), panel in zip(nets.items(), panels, strict=False):
        theirs = [1e3 * min(cell["loop"]["cpu"], cell["tiled"]["cpu"]) for cell in cells.values()]
        ours = [1e3 * cell["caveat"]["cpu"] for cell in cells.values()]
        side_by_side(panel, list(cells), {"PyTorch, its better way": theirs, "Caveat": ours})
        panel.set(title=net, xlabel="rows", ylabel="ms of CPU time", yscale="log")
        for place, (height, cell) in enumerate(zip(ours, cells.values(), strict=True)):
            panel.annotate(f"{cell['ratio']['cpu']:.2f} x", (place, height), (9, 3), ha="center", **POINTS)
    for panel in panels:  # the networks are at an end
        panel.set_axis_off()
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, title=f"threads: {threads}")


def overload(figure: Figure, figures: dict[str, Any]) -> None:
    """Draw latency percentiles and goodput against the offered load."""
    latency, goodput = figure.subplots(1, 2)
    rates = figures["rates"]
    loads = [f"{100 * rate['factor']:.0f} %" for rate in rates]
    for colour, name in zip(SERIES, ("p50", "p90", "p99", "p99.9"), strict=True):
        latency.plot(loads, [rate[name] for rate in rates], "o-", color=colour, label=name)
    latency.set(xlabel="load, of capacity", ylabel="ms", yscale="log", title="latency of answers")
    latency.legend()
    latency.grid(axis="y")
    bars = goodput.bar(loads, [rate["goodput"] for rate in rates], color=OURS, width=0.6)
    goodput.bar_label(bars, fmt="%.2f", padding=2)
    goodput.axhline(1, color="black", linewidth=0.8, linestyle="--")
    goodput.set(xlabel="load, of capacity", ylabel="answers, of capacity", title="goodput", ylim=(0, 1.15))


def startup(figure: Figure, figures: dict[str, Any]) -> None:
    """Draw the time and the memory of every start, with the bars."""
    names = {"ready_seconds": "process start to ready, s", "resident_mb": "resident after an answer, MB"}
    each_of = zip(*figures["rounds"], strict=True)
    panels = figure.subplots(1, 2)
    for panel, (name, title), each in zip(panels, names.items(), each_of, strict=True):
        panel.bar(range(1, len(each) + 1), each, color=OURS, width=0.6)
        panel.axhline(figures[f"{name}_bar"], color="black", linewidth=0.8, linestyle="--")
        panel.annotate("bar", (1, figures[f"{name}_bar"]), (0, 3), ha="center", **POINTS)
        panel.set(title=title, xlabel="start", ylim=(0, 1.15 * figures[f"{name}_bar"]))


def scaling(figure: Figure, figures: dict[str, Any]) -> None:
    """Draw the cost of a request against passes, rows, width and connections."""
    panels = figure.subplots(2, 2).flat
    labels = {
        "samples": ("passes", "ms"),
        "rows": ("rows", "ms"),
        "width": ("width w of 784-w-w-10", "ms"),
        "connections": ("connections", "answers per second"),
    }
    for panel, (name, (along, up)) in zip(panels, labels.items(), strict=True):
        for line, (label, costs) in enumerate(figures[name].items()):
            lighter = label.endswith("/predict") or "another seed" in label
            style = {"color": SERIES[line // 2 if len(figures[name]) > 2 else 0]}
            panel.plot(
                [int(x) for x in costs], costs.values(), "o--" if lighter else "o-", label=label, **style
            )
        ticks = [int(x) for x in costs]
        panel.set(xscale="log", yscale="log", xlabel=along, ylabel=up)
        panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        panel.minorticks_off()
        panel.yaxis.set_major_formatter("{x:,g}")
        panel.grid()
        panel.legend(fontsize=7)


def head(figure: Figure, figures: list[dict[str, Any]]) -> None:
    """Draw milliseconds of 100 passes and of one."""
    panel = figure.subplots()
    groups = [f"{row['network']}, {row['rows']} rows" for row in figures]
    names = {"one deterministic pass": "deterministic", "100 passes": "passes"}
    side_by_side(
        panel, groups, {label: [1e3 * row[name] for row in figures] for label, name in names.items()}
    )
    for place, row in enumerate(figures):
        panel.annotate(f"{row['ratio']:.2f} x", (place, 1e3 * row["passes"]), (0, 3), ha="center", **POINTS)
    panel.set(ylabel="ms", yscale="log")
    panel.legend()


def precision(figure: Figure, figures: dict[str, Any]) -> None:
    """Draw the speedup of bfloat16, and its error relative to the Monte Carlo error."""
    speed, error = figure.subplots(1, 2, sharey=True)
    for panel, name, label, line in (
        (speed, "speed", "speed, times that of float32", 1),
        (error, "error", "error of the mean, of its standard error", 0.1),
    ):
        values = [of[name] for of in figures.values()]
        bars = panel.barh(list(figures), values, color=OURS, height=0.7)
        panel.bar_label(bars, fmt="%.2f" if name == "speed" else "%.3f", padding=3)
        panel.axvline(line, color="black", linewidth=0.8, linestyle="--")
        panel.set(xlabel=label, xlim=(0, 1.2 * max(*values, line)))
    speed.invert_yaxis()


def side_by_side(panel: Axes, groups: list[str], bars: dict[str, list[float]]) -> None:
    """Draw two bars for each group; the second is Caveat's."""
    for shift, colour, (label, heights) in zip((-0.19, 0.19), (OTHERS, OURS), bars.items(), strict=True):
        panel.bar([place + shift for place in range(len(groups))], heights, 0.36, color=colour, label=label)
    panel.set_xticks(range(len(groups)), groups)
    panel.grid(axis="y")


PLOTS: dict[str, tuple[Any, str, tuple[float, float]]] = {
    "serving": (serving, "100 passes over one row, 32 connections", (9.5, 3.6)),
    "passes": (passes, "100 passes of a fresh seed, with mean and variance", (9.5, 5.5)),
    "products": (products, "100 passes, and the share of the bare products' speed", (7.5, 3)),
    "scaling": (scaling, "What a request costs", (9.5, 6.5)),
    "overload": (overload, "Requests at random times", (7.5, 3)),
    "startup": (startup, "Starts of caveat serve", (7.5, 2.6)),
    "head": (head, "Dropout in the head alone, 224x224 images", (6.5, 3)),
    "precision": (precision, "bfloat16 beside float32, 100 passes over 16 rows", (8, 3)),
}


if __name__ == "__main__":
    main()
