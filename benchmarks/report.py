"""What benchmark programs share: how they are called, the machine's name, and results as JSON and plot."""

import argparse
import importlib.util
import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser that shows a program's docstring as it stands."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    return {"machine": platform.machine(), "cores": os.cpu_count(), "processor": processor()}


def processor() -> str:
    """Name the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.processor()


def write(name: str, figures: Any) -> None:
    """Write what a program measured to the results' folder; with matplotlib at hand, its plot as well."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({**machine(), "figures": figures}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    if importlib.util.find_spec("matplotlib"):
        from plots import PLOTS, draw

        if name in PLOTS:
            draw(name, RESULTS / f"{name}.svg")


def read(name: str) -> dict[str, Any]:
    """Read what a program wrote: the machine and the figures."""
    results: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return results


def earlier(name: str) -> dict[str, Any]:
    """Give the figures of the last run of a program on this machine, if there was one."""
    if not (RESULTS / f"{name}.json").exists():
        return {}
    figures: dict[str, Any] = read(name).get("figures", {})
    return figures
