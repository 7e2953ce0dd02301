"""What a command says of a bundle that it has written."""

from pathlib import Path

from caveat.models.bundles.bundle import Bundle
from caveat.training.tasks import tasks


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
            *_sizes(bundle),
            *_calibrated(bundle),
            *(["on held-out rows:", *metrics, ""] if metrics else []),
            "next:",
            f"  caveat inspect {folder}",
            f"  caveat serve {folder.parent.parent}",
        ]
    )


def _sizes(bundle: Bundle) -> list[str]:
    """Say which sizes a request may choose: a branch of the network may allow fewer than are expected."""
    sizes = {name: bounds for spec in bundle.manifest.inputs for name, bounds in spec.sizes.items()}
    lines = [
        f"takes rows with a {name} {f'of at least {least}' if most is None else f'from {least} to {most}'}"
        for name, (least, most) in sizes.items()
    ]
    return [*lines, ""] if lines else []


def _calibrated(bundle: Bundle) -> list[str]:
    facts = bundle.manifest.calibration
    if facts is None:
        return []
    fitted = tasks.of(bundle.manifest).fitted(bundle.manifest)
    return [", ".join([f"calibrated on {facts.rows} rows", *fitted]), ""]
