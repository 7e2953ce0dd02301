"""The ``caveat`` command: a thin door to `training`, `service` and the bundles in `models`."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_settings import CliApp, CliPositionalArg, CliSettingsSource, SettingsError

from caveat import __version__
from caveat.models.errors import CaveatError

_, POSITIONAL = get_args(CliPositionalArg)
"""What marks a field that has no flag."""

# Where each command lives. Only the one that was asked for is imported, so that serving
# starts fast and never meets torch.
COMMANDS = {
    "train": ("caveat.training.train", "Train", "train a dropout network and export it as a bundle"),
    "export": ("caveat.training.export_command", "Export", "export a network of your own as a bundle"),
    "calibrate": ("caveat.training.calibrate_command", "Calibrate", "calibrate a bundle on held-out rows"),
    "evaluate": (
        "caveat.training.evaluate_command",
        "Evaluate",
        "judge a bundle on held-out rows, as a page",
    ),
    "inspect": ("caveat.models.bundles.description", "Inspect", "print what a bundle states of itself"),
    "serve": ("caveat.service.serve", "Serve", "serve every bundle of a store over HTTP"),
    "predict": ("caveat.service.client", "Predict", "ask a running service about the rows of a file"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code of the process."""
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name == "--version":
        print(f"caveat {__version__}")
        return 0
    if name not in COMMANDS:
        return _refuse("caveat", f"no command {name!r}; expected one of {', '.join(COMMANDS)}", 2)
    try:
        command = _command(name)
    except CaveatError as error:
        return _refuse(f"caveat {name}", str(error), 1)
    try:
        source = CliSettingsSource[Any](
            command,  # type: ignore[arg-type]  # any model will do, as CliApp shows
            cli_prog_name=f"caveat {name}",
            cli_parse_none_str="none",
            cli_kebab_case=True,
            cli_implicit_flags=True,
            cli_hide_none_type=True,
        )
        CliApp.run(command, cli_args=rest, cli_settings_source=source)
    except ValidationError as error:
        return _refuse(f"caveat {name}", _faults(error, command, rest), 2)
    except (CaveatError, SettingsError) as error:
        return _refuse(f"caveat {name}", str(error), 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _command(name: str) -> type[BaseModel]:
    module, attribute, _ = COMMANDS[name]
    try:
        command: type[BaseModel] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if module.startswith("caveat.training") and error.name not in ("caveat.training", module):
            raise CaveatError(
                f"needs {error.name}, which only training does: pip install '.[training]' in Caveat's folder"
            ) from None
        raise
    return command


def _faults(error: ValidationError, command: type[BaseModel], arguments: Sequence[str]) -> str:
    """Say what is wrong with each option: what was expected at the first place that is wrong."""
    expected: dict[str, tuple[str, list[str]]] = {}
    for fault in error.errors(include_url=False):
        field, *parts = map(str, fault["loc"] or [""])
        place = "".join(f"[{part}]" for part in parts if part.isdigit())  # others name a kind of value
        first, messages = expected.setdefault(field, (place, []))
        if place == first:
            messages.append(fault["msg"].removeprefix("Value error, "))
    return "; ".join(
        _source(field, command, arguments) + place + ": " * bool(field) + _either(messages)
        for field, (place, messages) in expected.items()
    )


def _source(field: str, command: type[BaseModel], arguments: Sequence[str]) -> str:
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
    lines = [f"  {name:<10}{summary}" for name, (_, _, summary) in COMMANDS.items()]
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
    print(f"{who}: {message}", file=sys.stderr)
    return code
