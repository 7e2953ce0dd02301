"""Imports the user's own code, found before everything else."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from torch import nn

from caveat.training.errors import ExportError


def user_network(place: str, option: str) -> nn.Module:
    """Import what ``package.module:name`` names, and call it if it is not a network yet.

    The folder that the command runs in comes first on the path, as with ``python -m``, and stays there: a
    network may import more as it runs.

    Raises
    ------
    ExportError
        If there is no such network. Where the user's code fails, the message gives its file and line.
    """
    path, _, attribute = place.partition(":")
    if not path or not attribute:
        raise ExportError(f"{option}: {place!r} should be module:name, such as package.module:factory")
    if os.getcwd() not in sys.path[:1]:
        sys.path.insert(0, os.getcwd())
    module = _module(path, option)
    try:
        made = getattr(module, attribute)
    except AttributeError:
        raise ExportError(f"{option}: {path} has no {attribute!r}; it is {_origin(module)}") from None
    try:
        network = made if isinstance(made, nn.Module) else made()
    except Exception as error:  # whatever the user's code raises
        raise ExportError(
            f"{option}: {place} failed: {_reason(error)}; it is called without arguments, so name a function "
            "that needs none"
        ) from error
    if not isinstance(network, nn.Module):
        raise ExportError(f"{option}: {place} made a {type(network).__name__}; expected a torch.nn.Module")
    return network


def _module(path: str, option: str) -> ModuleType:
    try:
        return _found_here_first(path)
    except ModuleNotFoundError as error:
        # What was asked for, or a package around it, and not what the user's code imports.
        if f"{path}.".startswith(f"{error.name}.") and _line(error) is None:
            raise ExportError(
                f"{option}: {error}; looked from {os.getcwd()} and in what is installed"
            ) from None
        raise ExportError(f"{option}: {path} can't be imported: {_reason(error)}") from error
    except Exception as error:  # whatever the user's code raises
        raise ExportError(f"{option}: {path} can't be imported: {_reason(error)}") from error


def _found_here_first(path: str) -> ModuleType:
    """Import a module; what lies in this folder goes before loaded modules and installed packages."""
    top = path.partition(".")[0]
    here = PathFinder.find_spec(top, [os.getcwd()])
    if here is None or _is_loaded(here):
        return import_module(path)
    with _forgotten(top):
        module = module_from_spec(here)
        sys.modules[top] = module
        if here.loader is not None:
            here.loader.exec_module(module)
        return import_module(path)


def _is_loaded(spec: ModuleSpec) -> bool:
    loaded = getattr(sys.modules.get(spec.name), "__spec__", None)
    return loaded is not None and (loaded.origin, list(loaded.submodule_search_locations or ())) == (
        spec.origin,
        list(spec.submodule_search_locations or ()),
    )


@contextmanager
def _forgotten(top: str) -> Iterator[None]:
    """Forget a loaded package of a name for as long as the user's own of that name is imported."""
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if f"{name}.".startswith(f"{top}.")}
    try:
        yield
    except BaseException:
        sys.modules.pop(top, None)
        raise
    finally:
        sys.modules.update(others)


def _reason(error: BaseException) -> str:
    """Say what failed and, where it is the user's own, in which line of which file."""
    what = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    line = _line(error)
    return what if line is None else f"{line}: {what}"


def _line(error: BaseException) -> str | None:
    """Find the last line of the user's folder that an error passed; None if it passed none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(Path(error.filename))}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(os.getcwd())]
    return f"{_relative(Path(own[-1].filename))}, line {own[-1].lineno}" if own else None


def _relative(path: Path) -> Path:
    return path.relative_to(os.getcwd()) if path.is_relative_to(os.getcwd()) else path


def _origin(module: ModuleType) -> str:
    return str(module.__file__) if getattr(module, "__file__", None) else "a folder without __init__.py"
