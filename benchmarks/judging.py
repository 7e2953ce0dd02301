"""The cost of a calibration: answers per second without one, with one, and with all of its decisions.

The same network is served as two versions, one of them calibrated. The cases take short turns, so that
drifts in the machine's speed affect all alike; figures are medians over the rounds, of rates and of their
ratios within a round. Needs the training extra.
"""

import statistics
import tempfile
from pathlib import Path

import numpy as np
from load import closed, rows_of
from overload import serving
from report import parser, write
from serving import NETS, make

from caveat.models.bundles import store
from caveat.training.calibrate import calibrate

NET = NETS["784-128-10"]
ROWS = 1000
CASES: dict[str, tuple[int, dict[str, float]]] = {
    "without a calibration": (1, {}),
    "with one (percentile)": (2, {}),
    "percentile, prediction_set, abstain": (2, {"coverage": 0.9, "max_error": 0.95}),
}


def main() -> None:
    """Measure, print a table, and write JSON."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=25, help="times to measure, in turn (default: 25)")
    arguments.add_argument("--seconds", type=float, default=1, help="seconds of each load (default: 1)")
    options = arguments.parse_args()
    rates: dict[str, list[float]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as scratch:
        row = calibrated(Path(scratch))
        with serving(Path(scratch)) as service:
            for _ in range(options.rounds):
                for case, (version, asked) in CASES.items():
                    url = f"{service.url}/models/mlp/versions/{version}/predict/uncertainty"
                    body = rows_of([row], samples=100, **asked)
                    closed(url, body, 32, 0.2)
                    rates[case].append(closed(url, body, 32, options.seconds).rate)
    plain = rates["without a calibration"]
    figures = {
        case: {
            "rate": statistics.median(of),
            "ratio": statistics.median(rate / base for rate, base in zip(of, plain, strict=True)),
        }
        for case, of in rates.items()
    }
    for case, figure in figures.items():
        print(f"{case:40}{figure['rate']:>8.0f} answers per second{figure['ratio']:>8.2f}")
    write("judging", figures)


def calibrated(scratch: Path) -> list[float]:
    """Write the network, and a version calibrated on random rows; return a row for requests."""
    (row,) = make(NET, scratch)
    random = np.random.default_rng(0)
    rows, truths = random.random((ROWS, NET[0]), np.float32), random.integers(0, NET[-1], ROWS)
    bundle = store.load(store.find(scratch / "store" / "mlp"))
    store.add(scratch / "store", calibrate(bundle, {"x": rows}, truths))
    return row


if __name__ == "__main__":
    main()
