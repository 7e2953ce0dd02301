"""The command ``caveat serve``: serves every bundle of a store over HTTP."""

from contextlib import ExitStack

from caveat.commands import discard_output
from caveat.service.desk.monitoring import log
from caveat.service.desk.versions.watch import report
from caveat.service.process import worker
from caveat.service.process.sockets import bind, listen
from caveat.service.process.wire import files
from caveat.service.settings import Settings

LAYOUT = {
    "what is served": {"store": "STORE", "default_model": "NAME", "poll": "SECONDS"},
    "where": {"host": "HOST", "port": "PORT", "tls_certificate": "FILE", "tls_key": "FILE"},
    "who may ask": {"api_keys": "KEYS", "admin_keys": "KEYS"},
    "how it runs": {
        "workers": "N",
        "threads": "N",
        "precision": None,
        "providers": "NAMES",
        "default_seed": "N",
    },
    "limits": {
        "max_rows": "N",
        "max_samples": "N",
        "max_bytes": "N",
        "max_pending": "N",
        "max_pending_passes": "N",
        "timeout": "SECONDS",
        "client_timeout": "SECONDS",
        "drain": "SECONDS",
    },
}


class Serve(Settings):
    """Serve every bundle of a store over HTTP.

    Each option can be given as an environment variable as well: --max-rows is CAVEAT_MAX_ROWS.
    """

    def cli_cmd(self) -> None:
        """Serve until told to stop."""
        files.allow(self.workers)
        with ExitStack() as stack:
            first = stack.enter_context(listen(self.host, self.port))
            host, port = first.getsockname()[:2]
            scheme = "https" if self.tls_certificate else "http"
            url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

            def ready(started: worker.Started) -> None:
                report(started.news)
                _say(f"Caveat serves {started.words} at {url}, see {url}/docs")

            if self.workers == 1:
                worker.run(self, first, ready)
            else:
                from caveat.service.process.supervisor import Supervisor  # which one process has no use for

                first.close()
                with bind(host, port):  # keeps the port while nobody listens
                    Supervisor(self, lambda: bind(host, port)).run(ready)


def _say(line: str) -> None:
    """Print a line; where nobody can read it, serve on."""
    try:
        print(line, flush=True)
    except OSError as error:
        discard_output()
        log.event("output", f"{line}; the output can't be written: {error.strerror}", "warning")
