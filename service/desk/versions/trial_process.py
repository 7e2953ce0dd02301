"""The process in which bundles are tried: what a bundle does to it, it does not do to the service.

It reads one line per bundle and writes one line per result. Each bundle is loaded and run in a fork of its
own, under limits on memory, time and files.
"""

import json
import os
import resource
import select
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Final

from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle, IncompleteError, read_manifest
from caveat.models.bundles.example import example_rows
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import encode, sizes
from caveat.models.engines.engine import Precision
from caveat.models.errors import InputError, described, one_line
from caveat.models.graphs.memory import allowed
from caveat.models.predictor import kept_example
from caveat.service import parent
from caveat.service.desk.versions import predictors
from caveat.service.settings import Settings

SECONDS: Final = 30.0
"""Seconds that a trial may take, of a bundle without files."""

_BYTES_PER_SECOND: Final = 2**25
"""Bytes of a bundle's files for which a trial may take a further second."""

_MOST_SECONDS: Final = 90.0
"""Seconds that any trial may take."""

_READING: Final = 2**29
"""Bytes that reading a bundle may take besides its files (512 MiB)."""

_RUNNING: Final = 2**28
"""Bytes that loading its graphs may take besides the weights and a run (256 MiB)."""

_COPIES: Final = 4
"""How often the weights may be in memory: each graph's session may copy and rearrange them."""

_OPENVINO: Final = 2**31
"""Bytes that compiling for bfloat16 may take besides (2 GiB)."""

_LONGEST: Final = 2**16
"""Bytes of a result at most."""


@dataclass(frozen=True)
class Order:
    """A bundle to try.

    Parameters
    ----------
    folder
        Folder of the bundle.
    precision, seed
        As in the settings of the service.
    """

    folder: str
    precision: Precision
    seed: int


@dataclass(frozen=True)
class Result:
    """What became of a trial.

    Parameters
    ----------
    identity
        Digest of the manifest that was tried; None if the bundle must not be loaded.
    reason
        Why it must not be loaded.
    incomplete
        Whether files are missing, so that the bundle may still be copying.
    """

    identity: str | None = None
    reason: str = ""
    incomplete: bool = False


def seconds_of(folder: Path) -> float:
    """Give the seconds that the trial of a bundle may take, by the sizes of its files."""
    size = sum(size for _, size, *_ in store.fingerprint(folder))
    return min(SECONDS + size / _BYTES_PER_SECOND, _MOST_SECONDS)


def main() -> None:
    """Try the bundles of the lines on stdin until it ends, which ends a trial, too.

    The arguments name modules to import, as of tasks that are not Caveat's.
    """
    for module in sys.argv[1:]:
        import_module(module)
    with suppress(OSError):  # if the machine runs out of memory, a trial goes and not the service
        Path("/proc/self/oom_score_adj").write_text("1000")
    line = bytearray()
    while chunk := os.read(0, _LONGEST):
        line += chunk
        if line.endswith(b"\n"):
            result = _tried(Order(**json.loads(line)))
            os.write(1, json.dumps(asdict(result)).encode() + b"\n")
            line.clear()


def _tried(order: Order) -> Result:
    seconds = seconds_of(Path(order.folder))
    reader, writer = os.pipe()
    tried_by = os.getpid()
    child = os.fork()
    if not child:
        parent.on_end(tried_by, signal.SIGKILL)
        os.close(reader)
        _try_in_fork(order, seconds, writer)
    os.close(writer)
    content = _read(reader, child, seconds)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if content is None:
        return Result(reason=f"its trial takes more than {seconds:.0f} seconds")
    with suppress(ValueError, TypeError):  # a fork that the bundle's graphs have damaged may write anything
        return Result(**json.loads(content))
    return Result(reason=f"its trial {_end(status)}; the service would have ended, too")


def _read(reader: int, child: int, seconds: float) -> bytes | None:
    """Read what a fork writes until it ends; None if that takes too long."""
    content = bytearray()
    until = monotonic() + seconds
    while len(content) <= _LONGEST:
        ready, _, _ = select.select([reader, 0], [], [], max(0.0, until - monotonic()))
        if reader in ready:
            if not (chunk := os.read(reader, _LONGEST)):
                return bytes(content)
            content += chunk
        elif ready:  # the service is gone
            os.kill(child, signal.SIGKILL)
            os._exit(0)
        else:
            os.kill(child, signal.SIGKILL)
            return None
    os.kill(child, signal.SIGKILL)
    return b""


def _end(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def _try_in_fork(order: Order, seconds: float, writer: int) -> None:
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):  # an engine's last words are no results, and no lines of the log
            os.dup2(nothing, stream)
        result = _result(order, seconds)
        os.write(writer, json.dumps(asdict(result)).encode())
    finally:
        os._exit(0)


def _result(order: Order, seconds: float) -> Result:
    folder = Path(order.folder)
    try:
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, int(seconds) + 5)
        _limit(resource.RLIMIT_AS, _held() + _READING, for_good=False)
        listed = _listed(read_manifest(folder))
        _limit(resource.RLIMIT_AS, _held() + listed + _READING, for_good=False)
        bundle = store.load_version(folder)
        _limit(resource.RLIMIT_AS, _held() + _needed(bundle, order))
        _limit(resource.RLIMIT_FSIZE, listed if order.precision == "bfloat16" else 0)
        settings = Settings.model_construct(threads=1, precision=order.precision, default_seed=order.seed)
        made = predictors.predictor(bundle, settings)
        predictors.warm_up(made, order.seed)
        return Result(bundle.manifest.identity)
    except MemoryError as error:
        return Result(reason=one_line(str(error)) or "takes more memory than its trial may")
    except Exception as error:
        return Result(reason=one_line(described(error)), incomplete=isinstance(error, IncompleteError))


def _needed(bundle: Bundle, order: Order) -> int:
    compiling = _OPENVINO if order.precision == "bfloat16" else 0
    return _running(bundle) + _COPIES * _listed(bundle.manifest) + _RUNNING + compiling


def _running(bundle: Bundle) -> int:
    """Give the bytes that a run may take at the sizes of the example."""
    manifest = bundle.manifest
    rows = example_rows(manifest, kept_example(bundle))
    try:
        return allowed(manifest, sizes(manifest.inputs, encode(manifest.inputs, rows)))
    except InputError:  # the trial itself says what is wrong with the example
        return _READING


def _limit(of: int, most: int, for_good: bool = True) -> None:
    with suppress(ValueError, OSError):  # some systems have no such limit, or already a lower one
        resource.setrlimit(of, (most, most if for_good else resource.getrlimit(of)[1]))


def _held() -> int:
    """Give the bytes of addresses that this process has; 0 where the system does not tell."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


def _listed(manifest: Manifest) -> int:
    """Add up the bytes of the files that a manifest lists."""
    return sum(file.bytes for file in manifest.files.values())


if __name__ == "__main__":
    main()
