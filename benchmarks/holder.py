"""A process that loads bundles and keeps them, for `weights.py`.

Each line of its standard input is the folder of a bundle, which it loads as the service does, or empty: then
it runs both graphs of the last bundle on the bundle's example. It answers with a line of JSON, the seconds
that this took. It imports what loading needs, and nothing else.
"""

import json
import sys
import time
from pathlib import Path

from caveat.models.bundles import store
from caveat.models.bundles.example import example_rows
from caveat.models.predictor import Predictor
from caveat.models.trial import try_out
from caveat.service.desk.versions.trim import trim


def main() -> None:
    """Load bundles until the input ends."""
    kept: list[Predictor] = []
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        if folder := line.strip():
            kept.append(Predictor(store.load(Path(folder)), kept_seed=0))
        else:
            try_out(kept[-1], example_rows(kept[-1].manifest, kept[-1].example))
        spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        trim()
        print(json.dumps(spent), flush=True)


if __name__ == "__main__":
    main()
