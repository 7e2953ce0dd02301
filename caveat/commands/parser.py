"""Reads the arguments of a command, and writes its help for people."""

import argparse
from difflib import get_close_matches
from inspect import getdoc
from typing import Any, NoReturn, get_args

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, CliPositionalArg, CliSettingsSource

from caveat.commands.command import Layout

_, POSITIONAL = get_args(CliPositionalArg)
"""What marks a field that has no flag."""


class UsageError(ValueError):
    """Arguments that are no call of a command; the message says what would be."""


class Parser(argparse.ArgumentParser):
    """The parser of one command.

    Parameters
    ----------
    name
        Name of the command.
    command
        Its options.
    layout
        How the help groups them.
    """

    def __init__(self, name: str, command: type[BaseSettings], layout: Layout) -> None:
        self._fields = {
            str(field.validation_alias or name): field for name, field in command.model_fields.items()
        }
        self._metavars = {field: metavar for group in layout.values() for field, metavar in group.items()}
        places = [
            name.upper() if field.is_required() else f"[{name.upper()}]"
            for name, field in self._fields.items()
            if POSITIONAL in field.metadata
        ]
        super().__init__(
            prog=f"caveat {name}",
            usage=" ".join([f"caveat {name} [OPTIONS]", *places]),
            description=getdoc(command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self._flags = ["--help"]
        self._groups = {
            field: group
            for title, fields in layout.items()
            for group in [self.add_argument_group(title)]
            for field in fields
        }
        self.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)

    def add(self, *flags: str, **options: Any) -> None:
        """Add an option as `CliSettingsSource` describes it, in its group and in plain words."""
        name = flags[-1].lstrip("-").replace("-", "_")
        self._flags.extend(flags)
        options["help"] = _help(self._fields[name])
        metavar = self._metavars[name]
        if metavar is not None and "metavar" in options:
            options["metavar"] = metavar
        self._groups[name].add_argument(*flags, **options)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises
        ------
        UsageError
            Always.
        """
        title, _, given = message.partition("unrecognized arguments: ")
        if title:
            raise UsageError(message)
        option = next((word for word in given.split() if word.startswith("-")), None)
        if option is None:
            raise UsageError(f"{given.split()[0]!r} is one argument too many; usage: {self.usage}")
        option = option.partition("=")[0]
        near = get_close_matches(option, self._flags, n=1, cutoff=0.7)
        hint = f"did you mean {near[0]}?" if near else f"{self.prog} --help lists the options"
        raise UsageError(f"no option {option}; {hint}")


def source(name: str, command: type[BaseSettings], layout: Layout) -> CliSettingsSource[Parser]:
    """Make the source of a command's options."""
    return CliSettingsSource(
        command,
        root_parser=Parser(name, command, layout),
        add_argument_method=lambda parser, *flags, **options: parser.add(*flags, **options),
        cli_parse_none_str="none",
        cli_kebab_case=True,
        cli_implicit_flags="toggle",
        cli_hide_none_type=True,
    )


def _help(field: FieldInfo) -> str:
    text = str(field.description)
    if field.is_required():
        return text if POSITIONAL in field.metadata else f"{text} (required)"
    default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    shown = text if default is None or default is False or default == "" else f"{text} (default: {default})"
    return shown.replace("%", "%%")
