"""Finds a command, runs it, and says what was wrong in one line."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsError

from caveat import __version__
from caveat.commands.command import Layout
from caveat.commands.parser import POSITIONAL, UsageError, source
from caveat.extras import MissingExtraError
from caveat.models.errors import CaveatError

COMMANDS = {
    "train": ("Train", "train a dropout network and export it as a bundle"),
    "export": ("Export", "export a network of your own as a bundle"),
    "calibrate": ("Calibrate", "calibrate a bundle on held-out rows"),
    "evaluate": ("Evaluate", "evaluate a bundle on held-out rows, as a page"),
    "inspect": ("Inspect", "print what a bundle states of itself, or list a store"),
    "serve": ("Serve", "serve every bundle of a store over HTTP"),
    "predict": ("Predict", "ask a running service about the rows of a file"),
}
"""The class of each command, in the module of its name; only the one that is asked for is imported."""


def run(arguments: Sequence[str]) -> int:
    """Run one command; return the exit code of the process."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if name == "--version":
        print(f"caveat {__version__}")
        return 0
    if name not in COMMANDS:
        return _refuse("caveat", _unknown(name), 2)
    class_name, _ = COMMANDS[name]
    module = import_module(f"caveat.commands.{name}")
    return _run(name, getattr(module, class_name), module.LAYOUT, rest)


def _run(name: str, command: type[BaseSettings], layout: Layout, arguments: list[str]) -> int:
    who = f"caveat {name}"
    try:
        CliApp.run(command, cli_args=arguments, cli_settings_source=source(name, command, layout))
    except UsageError as error:
        return _refuse(who, str(error), 2)
    except ValidationError as error:
        return _refuse(who, _faults(error, command, arguments), 2)
    except (CaveatError, SettingsError, MissingExtraError) as error:
        return _refuse(who, str(error), 1)
    return 0


def _unknown(name: str) -> str:
    near = get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
    return f"no command {name!r}; {hint}"


def _faults(error: ValidationError, command: type[BaseSettings], arguments: Sequence[str]) -> str:
    """Say what is wrong with each option: what was expected at the first place that is wrong."""
    expected: dict[str, tuple[str, list[str]]] = {}
    for fault in error.errors(include_url=False):
        field, *parts = map(str, fault["loc"] or [""])
        place = "".join(f"[{part}]" for part in parts if part.isdigit())  # others name a kind of value
        first, messages = expected.setdefault(field, (place, []))
        if place == first:
            message = "is required" if fault["type"] == "missing" else fault["msg"]
            messages.append(message.removeprefix("Value error, "))
    return "; ".join(
        _source(field, command, arguments) + place + ": " * bool(field) + _either(messages)
        for field, (place, messages) in expected.items()
    )


def _source(field: str, command: type[BaseSettings], arguments: Sequence[str]) -> str:
    """Name where the value of a field came from: a flag, a variable, or a place of its own."""
    known = command.model_fields.get(field)
    if not field or (known is not None and POSITIONAL in known.metadata):
        return field
    flag = f"--{field}".replace("_", "-")
    prefix = str(command.model_config.get("env_prefix", ""))
    variable = f"{prefix}{field}".upper()
    given = any(argument.partition("=")[0] == flag for argument in arguments)
    return variable if prefix and variable in os.environ and not given else flag


def _either(messages: Sequence[str]) -> str:
    """Join what would have been right.

    >>> _either(["Input should be a valid integer", "Input should be 'random'"])
    "Input should be a valid integer or 'random'"
    """
    first, *others = messages
    return " or ".join([first, *(other.removeprefix("Input should be ") for other in others)])


def _usage() -> str:
    lines = [f"  {name:<10}{summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: caveat COMMAND [OPTIONS]",
            "",
            *lines,
            "",
            "caveat COMMAND --help lists a command's options; caveat --version tells the version.",
        ]
    )


def _refuse(who: str, message: str, code: int) -> int:
    with suppress(OSError):  # where nobody can be told, the code tells
        print(f"{who}: {message}", file=sys.stderr)
    return code
