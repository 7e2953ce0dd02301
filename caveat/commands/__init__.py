"""The command ``caveat``: a thin door to `caveat.training`, `caveat.service` and `caveat.models`."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it."""

BROKEN_PIPE = 141
"""Exit code where the reader of the output left, as shells give it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code of the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _open_streams()
    try:
        if arguments is None and given[:1] == ["serve"]:  # the process is this command's
            from caveat.service.process import signals  # of what is imported, the first

            signals.begin()
        from caveat.commands.run import run  # within reach of Ctrl-C: an import takes time

        code = run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C has nothing left to end
        return _end("interrupted", INTERRUPTED)
    except BrokenPipeError:
        discard_output()
        return BROKEN_PIPE
    except OSError as error:
        where = "the output can't be written" if error.filename is None else error.filename
        return _end(f"{where}: {error.strerror}", 1)
    return code


def discard_output() -> None:
    """Send what is left of the output nowhere, so that the interpreter's last flush can't fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> None:
    """Open the standard streams that are closed, lest a socket or a file of a bundle takes their numbers."""
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(lowest, True)
    os.close(lowest)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # as long as the process


def _end(reason: str, code: int) -> int:
    discard_output()
    with suppress(OSError):  # where nobody can be told, the code tells
        print(f"caveat: {reason}", file=sys.stderr)
    return code
