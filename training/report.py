"""What a command says of a bundle that it has written."""

from pathlib import Path

import numpy as np

from caveat.models.bundles.bundle import Bundle


def report(folder: Path, bundle: Bundle) -> str:
    """Say where a bundle is, how good it is, and what to do next."""
    measured = bundle.manifest.metrics
    width = max([24, *(len(name) + 2 for name in measured)])
    metrics = [f"  {name:<{width}}{value:.4g}" for name, value in measured.items()]
    return "\n".join(
        [
            f"bundle  {folder}",
            f"digest  {bundle.manifest.digest}",
            "",
            *_calibrated(bundle),
            *(["on held-out rows:", *metrics, ""] if metrics else []),
            "next:",
            f"  caveat inspect {folder}",
            f"  caveat serve {folder.parent.parent}",
        ]
    )


def _calibrated(bundle: Bundle) -> list[str]:
    facts = bundle.manifest.calibration
    if facts is None:
        return []
    noise = bundle.manifest.noise_variance
    fitted = "" if facts.temperature is None else f", temperature {facts.temperature:.3g}"
    if noise is not None:
        fitted += ", noise variance " + ", ".join(f"{each:.4g}" for each in np.ravel(noise))
    return [f"calibrated on {facts.rows} rows{fitted}", ""]
