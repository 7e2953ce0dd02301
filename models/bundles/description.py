"""What a bundle states of itself, and what a store holds, as text for a person."""

import json
from collections.abc import Iterable
from pathlib import Path

from caveat.models.bundles.bundle import Bundle, BundleError
from caveat.models.bundles.features import ISO, Feature
from caveat.models.bundles.manifest import Manifest, Site
from caveat.models.bundles.signature import Input
from caveat.models.bundles.store import bundle_folders
from caveat.models.tasks import tasks

Row = tuple[str, ...]


def describe(manifest: Manifest) -> str:
    """Lay a manifest out as text: one section per subject, columns aligned."""
    sections: dict[str, list[Row]] = {
        "model": _model(manifest),
        "inputs": [row for spec in manifest.inputs for row in _input(spec)],
        "output": _output(manifest),
        "dropout sites": [_site(site) for site in manifest.sites],
        "metrics on held-out rows": [(name, f"{value:.4g}") for name, value in manifest.metrics.items()],
        "calibration": list(_calibration(manifest)),
        "table, as it was read": list(_read(manifest)),
        "provenance": list(_provenance(manifest)),
        "files": [(name, f"{file.bytes:,} bytes", file.sha256) for name, file in manifest.files.items()],
    }
    return "\n\n".join(f"{title}\n{_align(rows)}" for title, rows in sections.items() if rows)


def listing(store: Path) -> str:
    """Lay out what a store holds: a line for each version, which verifies it."""
    head = ("model", "version", "task", "sites", "calibrated on", "bytes")
    return _align([head, *(_listed(folder) for folder in bundle_folders(store))])


def _listed(folder: Path) -> Row:
    name, version = folder.parent.name, folder.name
    try:
        manifest = Bundle.load(folder).manifest
    except BundleError as error:
        return (name, version, f"can't be served: {error}")
    rows = "-" if manifest.calibration is None else f"{manifest.calibration.rows} rows"
    size = sum(file.bytes for file in manifest.files.values())
    return (name, version, manifest.task, str(len(manifest.sites)), rows, f"{size:,}")


def _model(manifest: Manifest) -> list[Row]:
    stated: list[Row] = [
        ("name", manifest.name),
        ("version", str(manifest.version)),
        ("task", manifest.task),
        ("description", manifest.description),
        ("digest", manifest.digest),
    ]
    return [row for row in stated if row[-1]]


def _input(spec: Input) -> list[Row]:
    features = [(f"  {feature.name}", _kind(feature)) for feature in spec.features or ()]
    return [(spec.name, spec.dtype, _shape(spec.shape)), *features]


def _kind(feature: Feature) -> str:
    """Say what a feature takes.

    >>> _kind(Feature(name="heating", categories=("gas", "oil"), missing=True, other=True))
    'one of gas, oil, or another, or missing'
    """
    if feature.dates is not None:
        kind = "date" if feature.dates == ISO else f"date, in ISO 8601 or as {feature.dates}"
    elif feature.categories is not None:
        kind = f"one of {', '.join(feature.categories)}{', or another' if feature.other else ''}"
    else:
        kind = f"number, in {feature.unit}" if feature.unit else "number"
    if not feature.missing:
        return kind
    return f"{kind}{'' if kind in ('number', 'date') else ','} or missing"


def _output(manifest: Manifest) -> list[Row]:
    return [("shape", _shape(manifest.output)), *tasks.of(manifest).described()]


def _site(site: Site) -> Row:
    law = site.law if site.rate is None else f"rate {site.rate:g}"
    return (site.name, site.kind, law, _shape(site.shape))


def _calibration(manifest: Manifest) -> Iterable[Row]:
    facts = manifest.calibration
    if facts is None:
        return
    for name, value in facts.model_dump(exclude_none=True, exclude={"error_ratios"}).items():
        yield (name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))
    if facts.error_ratios is not None:
        ratios = ", ".join(f"{ratio:.3g}" for ratio in facts.error_ratios.ratios)
        yield ("error ratios", f"{ratios}, from the greatest variance down by halves")


def _read(manifest: Manifest) -> Iterable[Row]:
    """Say how each column of the table was read that the model was trained on."""
    data = manifest.provenance.data
    yield from ((str(name), str(words)) for name, words in data.get("columns", {}).items())
    yield from (("note", str(note)) for note in data.get("notes", ()))


def _provenance(manifest: Manifest) -> Iterable[Row]:
    provenance = manifest.provenance
    if provenance.seed is not None:
        yield ("seed", str(provenance.seed))
    data = {
        name: value
        for name, value in provenance.data.items()
        if name not in ("columns", "decimals", "units", "notes")
    }
    for part in (provenance.hyperparameters, data, provenance.libraries):
        for name, value in part.items():
            yield (name, value if isinstance(value, str) else json.dumps(value))


def _shape(shape: Iterable[int | str]) -> str:
    """Write a shape.

    >>> _shape(("rows", 8, 8))
    '(rows, 8, 8)'
    """
    return f"({', '.join(map(str, shape))})"


def _align(rows: list[Row]) -> str:
    """Lay rows out in columns, indented; the last cell of a row takes no part in the widths.

    >>> print(_align([("a", "bc"), ("def", "g")]))
      a    bc
      def  g
    """
    widths: dict[int, int] = {}
    for row in rows:
        for column, cell in enumerate(row[:-1]):
            widths[column] = max(widths.get(column, 0), len(cell))
    return "\n".join(
        "  " + "  ".join([*(cell.ljust(widths[i]) for i, cell in enumerate(row[:-1])), row[-1]])
        for row in rows
    )
