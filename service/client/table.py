"""An answer as a table, for a person."""

from collections.abc import Mapping, Sequence
from typing import Any

from caveat.models.tasks import tasks
from caveat.models.tasks.column import Form


def table(answer: Mapping[str, Any], targets: Sequence[str] | None = None) -> str:
    """Lay an answer out, one line per row; of a column with a value per class, the label's is shown.

    Where there are several targets, each has a line of its own. Below stand the answer's notes.

    Examples
    --------
    >>> columns = {"label": ["a", "b"], "mean": [[0.9, 0.1], [0.25, 0.75]]}
    >>> print(table({"model": "m", "version": 1, **columns}))
    m version 1
    row  label  mean
      0  a       0.9
      1  b      0.75
    >>> print(table({"model": "m", "version": 1, "mean": [[3, 0.5]]}, ["price", "rent"]))
    m version 1
    row  target  mean
      0  price      3
      0  rent     0.5
    """
    head = f"{answer['model']} version {answer['version']}"
    if "samples" in answer:
        head += f", {answer['samples']} passes, seed {answer['seed']}"
    columns = {name: values for name, values in answer.items() if isinstance(values, list)}
    form = form_of(answer)
    if form is not None:
        main = columns[form.main]
        for column in form.columns:
            if column.name in columns and column.axes == ("classes",):
                values = columns[column.name]
                columns[column.name] = [
                    value[row.index(max(row))] for value, row in zip(values, main, strict=True)
                ]
    rows = len(next(iter(columns.values())))
    columns = {"row": list(range(rows)), **columns}
    if targets:
        columns = {"row": columns.pop("row"), "target": [list(targets)] * rows, **columns}
        columns = {name: _by_target(values, len(targets)) for name, values in columns.items()}
    notes = [f"{name}: {note}" for name, note in answer.get("notes", {}).items()]
    return "\n".join([head, *_align(columns), *notes])


def form_of(answer: Mapping[str, Any]) -> Form | None:
    """Find the form of an answer, by its columns and the axes of the main one; None for any other."""
    forms = [form for task in tasks.every() for pair in task.forms for form in pair]
    found = [form for form in forms if _is_of(answer, form)]
    return max(found, key=lambda form: len(_always(form)), default=None)


def _always(form: Form) -> set[str]:
    return {column.name for column in form.columns if not column.optional}


def _is_of(answer: Mapping[str, Any], form: Form) -> bool:
    axes = 1 + len(form.column(form.main).axes)
    return _always(form) <= answer.keys() and _depth(answer[form.main]) == axes


def _depth(values: Any) -> int:
    return 1 + _depth(values[0]) if isinstance(values, list) and values else 0


def _by_target(values: Sequence[Any], targets: int) -> list[Any]:
    """Give each target of each row a cell of its own; what is of the whole row stands in all of them."""
    rows = (value if isinstance(value, list) else [value] * targets for value in values)
    return [cell for row in rows for cell in row]


def _text(cell: Any) -> str:
    if isinstance(cell, list):  # an interval, quantiles, a set
        return " ".join(map(_text, cell))
    return cell if isinstance(cell, str) else f"{cell:.4g}"


def _align(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    laid = []
    for name, values in columns.items():
        texts = list(map(_text, values))
        width = max(map(len, [name, *texts]))
        left = isinstance(values[0], str)
        laid.append([text.ljust(width) if left else text.rjust(width) for text in [name, *texts]])
    return ["  ".join(line).rstrip() for line in zip(*laid, strict=True)]
