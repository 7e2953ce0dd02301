"""The page of a model card: figures, plots, and facts about the model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from math import isnan
from typing import Any, Final

from numpy.typing import NDArray

from caveat.models.bundles.bundle import CARD, Bundle, pack
from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs
from caveat.models.tasks import tasks as served
from caveat.training.calibrate import LEAST_ROWS
from caveat.training.card.plots import plots
from caveat.training.evaluation.evaluate import evaluate
from caveat.training.measures.evaluation import Evaluation, Held, Table
from caveat.training.measures.figure import Figure
from caveat.training.measures.names import GROUPED_AT
from caveat.training.tasks import tasks

_STYLE: Final = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 66rem; padding: 2rem 1.2rem 4rem; color: #1f2937; background: #fff;
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 2rem; margin: 0 0 .2rem; } h2 { margin: 2.6rem 0 .4rem; font-size: 1.3rem; }
h3 { margin: 0 0 .2rem; font-size: 1.05rem; }
p { max-width: 46rem; } .quiet { color: #4b5563; } .warning { background: #fef3c7; padding: .6rem .9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .8rem 0; font-size: .88rem; }
th, td { padding: .35rem .6rem .35rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #e5e7eb; }
th:first-child, td:first-child { text-align: left; } td small { color: #4b5563; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 2rem; }
figure { margin: 0; } figure svg { width: 100%; height: auto; }
figcaption { font-size: .92rem; color: #4b5563; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; } dt { color: #4b5563; }
dd { margin: 0; overflow-wrap: anywhere; }
"""


def with_card(bundle: Bundle, inputs: Inputs, y: NDArray[Any], samples: int = 100, seed: int = 0) -> Bundle:
    """Add a card to a calibrated bundle, from an evaluation on its calibration rows.

    Each half of the rows is evaluated with a calibration on the other half, so that no row calibrates its
    own evaluation; the bundle stays calibrated on all rows. With fewer than twice `LEAST_ROWS` rows, the
    bundle gets no card.
    """
    if len(y) < 2 * LEAST_ROWS:
        return bundle
    content = card(evaluate(bundle, inputs, y, samples, seed, crossed=True))
    return pack(bundle.manifest, {**bundle.files, CARD: content.encode()})


def card(evaluation: Sequence[Evaluation]) -> str:
    """Write the page of an evaluation: one part, or one for each target."""
    (first, *others) = evaluation
    manifest = first.manifest
    # Without the version, which a bundle gets in a store, when this page is already part of the bundle.
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(manifest.name)}: model card</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(manifest.name)}</h1>",
            f'<p class="quiet">{escape(tasks.of(manifest).subtitle(manifest))}</p>',
            *([f"<p>{escape(manifest.description)}</p>"] if manifest.description else []),
            f"<p>{escape(_how(first))}</p>",
            *([f'<p class="warning">{_FAMILIAR}</p>'] if first.familiar else []),
            *(part for each in evaluation for part in _part(each, bool(others))),
            "<h2>The model</h2>",
            *_facts(manifest),
            *_columns(manifest),
            "</body></html>\n",
        ]
    )


_FAMILIAR: Final = (
    "The model was calibrated on these rows: calibrated figures look better here than they are. "
    "Evaluate it on other rows."
)


def _how(evaluation: Evaluation) -> str:
    words = f"Evaluated on {len(evaluation.y)} rows, each answered with {evaluation.samples} passes"
    if evaluation.strange is not None:
        strange = len(next(iter(evaluation.strange.values())))
        words += f", and on {strange} out-of-distribution rows"
    words += ". Numbers after ± are standard errors over the choice of rows."
    if evaluation.crossed:
        words += (
            " The model is calibrated on the same rows; so each half was evaluated with a calibration on the "
            "other half."
        )
    return words


def _part(evaluation: Evaluation, several: bool) -> Iterator[str]:
    if several:
        yield f"<h2>{escape(evaluation.target or '')}</h2>"
    yield "<h2>Quality of the answers</h2>"
    yield (
        '<p class="quiet">The answers with passes, compared with simpler ones: the network without dropout, '
        "and the same network with an uncertainty fitted on other rows.</p>"
    )
    yield _table(evaluation.figures)
    if evaluation.held:
        yield f"<h2>Coverage of the {tasks.of(evaluation.manifest).regions}</h2>"
        yield _held("asked for", evaluation.held)
        yield (
            f'<p class="quiet">Which rows are missed at {GROUPED_AT:.0%}. The coverage is guaranteed for all '
            "rows together, not for each group. Rows of equal uncertainty are in one group.</p>"
        )
        yield _held("group", evaluation.groups)
    else:
        yield "<p>The model has no calibration; <code>caveat calibrate</code> makes one.</p>"
    if evaluation.separations is not None:
        yield "<h2>Detection of out-of-distribution rows</h2>"
        yield _table(evaluation.separations)
    yield '<h2>Plots</h2><div class="plots">'
    for plot in plots(evaluation):
        yield (
            f"<figure><h3>{escape(plot.title)}</h3>{plot.drawing}"
            f"<figcaption>{escape(plot.reading)}</figcaption></figure>"
        )
    yield "</div>"


def _facts(manifest: Manifest) -> Iterator[str]:
    sites = ", ".join(
        f"{site.name} ({site.kind}" + (f" {site.rate:g})" if site.rate else ")") for site in manifest.sites
    )
    described = dict(served.of(manifest).described())
    fitted = [each for each in tasks.of(manifest).fitted(manifest) if not each.startswith(tuple(described))]
    facts: dict[str, object] = {
        "task": manifest.task,
        **described,
        "inputs": ", ".join(f"{spec.name} {list(spec.shape)}" for spec in manifest.inputs),
        "random sites": sites,
        "calibrated on": f"{manifest.calibration.rows} rows" if manifest.calibration else "",
        "fitted": ", ".join(fitted),
        "data": _listed(
            {
                name: of
                for name, of in manifest.provenance.data.items()
                if name not in ("columns", "decimals", "units", "notes")
            }
        ),
        "training": _listed(manifest.provenance.hyperparameters),
        "seed": "" if manifest.provenance.seed is None else manifest.provenance.seed,
        "libraries": _listed(manifest.provenance.libraries),
    }
    yield "<dl>"
    for name, fact in facts.items():
        if fact != "":
            yield f"<dt>{escape(name)}</dt><dd>{escape(str(fact))}</dd>"
    yield "</dl>"


def _columns(manifest: Manifest) -> Iterator[str]:
    """Say how the columns of a table were read."""
    columns = manifest.provenance.data.get("columns")
    if not columns:
        return
    yield "<h2>How the table was read</h2>"
    yield "<dl>"
    for name, words in columns.items():
        yield f"<dt>{escape(str(name))}</dt><dd>{escape(str(words))}</dd>"
    yield "</dl>"
    for note in manifest.provenance.data.get("notes", ()):
        yield f'<p class="quiet">Note: {escape(str(note))}.</p>'


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _table(table: Table) -> str:
    measures = list(dict.fromkeys(measure for figures in table.values() for measure in figures))
    rows = [
        [escape(name), *(_cell(figures.get(measure)) for measure in measures)]
        for name, figures in table.items()
    ]
    return _laid_out(["", *map(escape, measures)], rows)


def _held(of: str, held: Iterable[Held]) -> str:
    rows = [[escape(each.name), str(each.rows), _cell(each.coverage), _cell(each.size)] for each in held]
    return _laid_out([of, "rows", "held", "mean size"], rows)


def _laid_out(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th>{name}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>'


def _cell(figure: Figure | None) -> str:
    if figure is None or isnan(figure.value):
        return ""
    error = "" if isnan(figure.error) else f" <small>± {figure.error:.1g}</small>"
    return f"{figure.value:.3g}{error}"
