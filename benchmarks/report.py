"""Shared parts of the benchmark programs: arguments, the machine's name, and results as JSON and plot."""

import argparse
import importlib.util
import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser that shows a program's docstring unchanged."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def machine() -> dict[str, Any]:
    """Describe the machine."""
    return {"machine": platform.machine(), "cores": os.cpu_count(), "processor": processor()}


def processor() -> str:
    """Name the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.processor()


def write(name: str, figures: Any) -> None:
    """Write a program's figures into the folder of results, and its plot if matplotlib is installed."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({**machine(), "figures": figures}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    if importlib.util.find_spec("matplotlib"):
        from plots import PLOTS, draw

        if name in PLOTS:
            draw(name, RESULTS / f"{name}.svg")


def read(name: str) -> dict[str, Any]:
    """Read a program's results: the machine and the figures."""
    results: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return results


def earlier(name: str) -> dict[str, Any]:
    """Return the figures of a program's last run on this machine, if there was one."""
    if not (RESULTS / f"{name}.json").exists():
        return {}
    figures: dict[str, Any] = read(name).get("figures", {})
    return figures
