"""Files of weights, read without running code of theirs."""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from caveat.training.errors import ExportError

SAVE = "Save the weights alone: torch.save(network.state_dict(), ...)"

_PLAIN: list[Any] = [  # what checkpoints hold beside tensors; to make one of these runs no code of the file
    argparse.Namespace,
    np.ndarray,
    np.dtype,
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__ if name not in ("StringDType", "ObjectDType")),
    (np.empty(0).__reduce__()[0], "numpy._core.multiarray._reconstruct"),
    (np.empty(0).__reduce__()[0], "numpy.core.multiarray._reconstruct"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
]


def read(path: Path) -> Any:
    """Read what a file holds, whatever its name: tensors by name, or a checkpoint with them in it.

    Parameters
    ----------
    path
        A file of ``torch.save``, of safetensors, or the index of a model that lies in several files.

    Raises
    ------
    ExportError
        If the file is missing, damaged, or of another kind.
    """
    if path.is_dir():
        files = sorted(file.name for file in path.iterdir() if file.suffix in _SUFFIXES)
        raise ExportError(
            f"--weights {path} is a folder; name the file of weights"
            + (f" in it: {', '.join(files)}" if files else "")
        )
    if not path.is_file():
        raise ExportError(f"--weights {path}: no such file")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ExportError(f"--weights {path}: {error.strerror}") from None
    if not start:
        raise ExportError(f"--weights {path} is empty: the file was never written, or not to its end")
    if start[:2] == b"PK" or start[:1] == b"\x80":  # a zip archive, or a pickle of older versions
        return _of_torch(path)
    if start[:1] in b"{[":
        return _of_index(path)
    if start[8:] == b"{" or path.suffix == ".safetensors":  # a length of 8 bytes, then JSON
        return _of_safetensors(path)
    raise ExportError(
        f"--weights {path} is neither a file of torch.save nor of safetensors. {SAVE}; if it was one, "
        "download it whole (git lfs pull)"
    )


_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


def _of_index(path: Path) -> dict[str, Any]:
    """Read a model in several files, whose index names the file of each tensor."""
    try:
        files = sorted(set(json.loads(path.read_bytes())["weight_map"].values()))
        names = [Path(file).name for file in files]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ExportError(
            f"--weights {path} is JSON; expected a file of torch.save or of safetensors"
        ) from None
    state: dict[str, Any] = {}
    for name in names:
        part = read(path.parent / name)
        state |= part if isinstance(part, Mapping) else {}
    return state


def _of_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ExportError(
            f"--weights {path} is no safetensors file, or is damaged or cut short ({error}). "
            "Copy or save it again"
        ) from None


def _of_torch(path: Path) -> Any:
    try:
        with path.open("rb") as file, torch.serialization.safe_globals(_PLAIN):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of many classes, by what the file is
        raise ExportError(f"--weights {path} {_fault(str(error))}") from None


def _fault(error: str) -> str:
    """Say why a file can't be loaded, from PyTorch's long message."""
    if "TorchScript archive" in error:
        return f"is a TorchScript archive, which holds code. {SAVE} of the nn.Module that it was made from"
    needed = re.search(r"GLOBAL (\S+)", error)
    if needed:
        return (
            f"holds {needed[1]}, which only code can load: a whole pickled network, or objects beside the "
            f"weights. {SAVE}"
        )
    return f"is damaged or cut short, or is no file of torch.save. Copy it again. {SAVE}"
