"""Tables: files with one named column for each feature, read as their owner means them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caveat.models.bundles.signature import ROWS, Input
from caveat.training.data.columns.column import Column, Doubt, LeftOut, Read, flag, without_missing
from caveat.training.data.columns.decimal import decimals
from caveat.training.data.columns.read import Statement, name_and_form, numbers_rows, read_column, statements
from caveat.training.data.columns.target import Target, read_target
from caveat.training.data.dataset import Dataset
from caveat.training.data.files.raw import Table
from caveat.training.data.files.read import read_table as read_file
from caveat.training.data.files.texts import name_of
from caveat.training.data.options import TableOptions
from caveat.training.data.report import Report, of_target
from caveat.training.data.target import encode_target, infer_task
from caveat.training.errors import DataError
from caveat.training.vocabulary import Task


def read_table(
    path: Path, target: tuple[str, ...] | None, task: Task | None, options: TableOptions
) -> Dataset:
    """Read a table, with one or several columns as targets and other columns as features.

    What a column means is told by the options or, beyond doubt, by its values; rows without a target are
    left out.

    Parameters
    ----------
    path, target, task
        See `caveat.training.data.read.read`.
    options
        What the owner says of the table.

    Raises
    ------
    DataError
        If the file can't be read, has no column that is named, or has columns that can be read in several
        ways: all of them, with the options that settle it.
    """
    table = read_file(path, options)
    targets = _targets(table, target)
    names = _features(table, targets, options)
    said = statements(list(table.columns), options)
    marks = decimals(table, _undecided([*targets, *names], said), options.decimal)
    columns = {
        name: _column(table, name, said.get(name, Statement()), marks.get(name, "."))
        for name in (*targets, *names)
    }
    truths = [
        _in_the_way(table, name, marks)
        or read_target(columns[name], said.get(name, Statement()), classes=task == "classification")
        for name in targets
    ]
    known = np.logical_and.reduce([each.known for each in truths if isinstance(each, Target)], initial=True)
    features = [
        _in_the_way(table, name, marks)
        or _left_out(columns[name], said.get(name, Statement()))
        or read_column(_only(columns[name], known), said.get(name, Statement()), options)
        for name in names
    ]
    doubts = [each for each in (*truths, *features) if isinstance(each, Doubt)]
    if doubts:
        raise DataError(f"{path}: {_settled(doubts)}")
    return _dataset(
        table,
        [each for each in truths if isinstance(each, Target)],
        [each for each in features if not isinstance(each, Doubt)],
        task,
        marks,
        options.unseen,
    )


def _targets(table: Table, target: tuple[str, ...] | None) -> tuple[str, ...]:
    listed = ", ".join(table.columns)
    if target is None:
        raise DataError(f"{table.path}: say which column to predict with --target; it has {listed}")
    for name, count in Counter(target).items():
        _refuse_unknown(table, "target", name)
        if count > 1:
            raise DataError(f"{table.path}: --target names {name!r} {count} times")
    for name in target:
        kind = table.unreadable.get(name)
        if kind:
            raise DataError(
                f"{table.path}: column {name!r}: holds {kind}; expected numbers, text or booleans"
            )
        if not len(without_missing(table.columns[name]).drop_nulls()):
            raise DataError(f"{table.path}: column {name!r}: has no values, and is to be predicted")
    return target


def _features(table: Table, targets: Sequence[str], options: TableOptions) -> list[str]:
    """List the columns to predict from."""
    for option in ("drop", "features", "categorical", "numeric"):
        for name in getattr(options, option) or ():
            _refuse_unknown(table, option, name)
    for name in options.dates or ():
        if name not in table.columns:
            _refuse_unknown(table, "dates", name_and_form(name, list(table.columns))[0])
    twice = set(options.drop or ()) & set(targets)
    if twice:
        raise DataError(f"{table.path}: --drop leaves out {min(twice)!r}, which is to be predicted")
    wanted = options.features or table.columns
    names = [
        name for name in table.columns if name in wanted and name not in (*targets, *(options.drop or ()))
    ]
    if not names:
        (first, *others) = table.columns
        only = f"{first!r} is the only column" if not others else "every column is a target or left out"
        raise DataError(f"{table.path}: {only}; there is nothing to predict from")
    return names


def _refuse_unknown(table: Table, option: str, name: str) -> None:
    if name not in table.columns:
        raise DataError(f"{table.path}: no column {name!r} (--{option}); it has {', '.join(table.columns)}")


def _left_out(column: Column, stated: Statement) -> LeftOut | None:
    """Leave out what numbers the rows, unless an option names it."""
    if stated.wanted or not numbers_rows(column):
        return None
    return LeftOut(column.name, "left out, as it numbers or names the rows")


def _only(column: Column, known: NDArray[np.bool_]) -> Column:
    """Take the rows with a target."""
    return column if known.all() else replace(column, values=column.values.filter(pl.Series(known)))


def _undecided(names: Sequence[str], said: Mapping[str, Statement]) -> list[str]:
    """List the columns that may hold numbers."""
    return [name for name in names if said.get(name, Statement()).kind in (None, "numeric")]


def _column(table: Table, name: str, stated: Statement, mark: str | Doubt) -> Column:
    values = without_missing(table.columns[name], spelled=stated.kind != "categorical")
    decimal = mark if isinstance(mark, str) else "."
    return Column(name, values, name in table.dated, name in table.nameless, decimal)


def _in_the_way(table: Table, name: str, marks: Mapping[str, str | Doubt]) -> Doubt | None:
    """Say what hinders reading a column at all."""
    kind = table.unreadable.get(name)
    if kind:
        return Doubt(name, f"holds {kind}, which is no number, text or date", "drop")
    mark = marks.get(name)
    return mark if isinstance(mark, Doubt) else None


def _settled(doubts: Sequence[Doubt]) -> str:
    """Say what stands in the way, and the options that settle all of it."""
    reasons = "; ".join(f"column {doubt.name!r}: {doubt.reason}" for doubt in doubts)
    options: dict[str, list[str]] = {}
    for doubt in doubts:
        if doubt.option is None:
            continue
        options.setdefault(doubt.option, [])
        if doubt.given not in options[doubt.option]:
            options[doubt.option].append(doubt.given)
    flags = " ".join(
        f"--decimal {given[0]}" if option == "decimal" else flag(option, *given)
        for option, given in options.items()
    )
    return f"{reasons}. To go on, add {flags}" if flags else reasons


def _dataset(
    table: Table,
    targets: Sequence[Target],
    columns: Sequence[Read | LeftOut],
    task: Task | None,
    marks: Mapping[str, str | Doubt],
    unseen: str | None,
) -> Dataset:
    known = np.logical_and.reduce([target.known for target in targets])
    features = [each for each in columns if isinstance(each, Read)]
    if not features:
        left = [each for each in columns if isinstance(each, LeftOut)]
        reasons = "; ".join(f"{each.name!r} is {each.words}" for each in left)
        kept = flag("features", *(each.name for each in left))
        raise DataError(f"{table.path}: no column is left to predict from: {reasons} ({kept} keeps it)")
    if unseen and not any(read.feature.other for read in features):
        raise DataError(f"{table.path}: --unseen {unseen} goes with categories, and no column holds any")
    values = [target.values[known] for target in targets]
    task = task or infer_task(_joined(values))
    y, classes = _encode_targets([target.name for target in targets], values, task, table.path)
    return Dataset(
        name=name_of(table.path),
        task=task,
        input=Input(
            name="features",
            dtype="float64",
            shape=(ROWS, len(features)),
            features=tuple(read.feature for read in features),
        ),
        x=np.stack([read.values for read in features], axis=1),
        y=y,
        target=targets[0].name if len(targets) == 1 else None,
        targets=tuple(target.name for target in targets) if len(targets) > 1 else None,
        classes=classes,
        report=_report(table, targets, columns, y, classes),
        writing={
            "decimals": {name: mark for name, mark in marks.items() if isinstance(mark, str) and mark == ","},
            "units": {target.name: target.unit for target in targets if target.unit},
        },
    )


def _encode_targets(
    names: Sequence[str], values: Sequence[NDArray[Any]], task: Task, path: Path
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    for name, of in zip(names, values, strict=True):
        if len(values) > 1 and of.dtype.kind == "U":
            raise DataError(f"{path}: column {name!r}: holds text; several targets are numbers")
    each = [
        encode_target(of, task, f"{path}: column {name!r}") for name, of in zip(names, values, strict=True)
    ]
    if len(each) == 1:
        return each[0]
    return encode_target(_joined([y for y, _ in each]), task, f"{path}: {len(each)} columns")


def _joined(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _report(
    table: Table,
    targets: Sequence[Target],
    columns: Sequence[Read | LeftOut],
    y: NDArray[Any],
    classes: Sequence[str] | None,
) -> Report:
    words = {each.feature.name if isinstance(each, Read) else each.name: each.words for each in columns}
    for target, of in zip(targets, np.atleast_2d(y.T), strict=True):
        words[target.name] = of_target(classes, of.min(), of.max())
    without = len(table) - len(y)
    notes = [*table.notes, *(note for target in targets for note in target.notes)]
    if without:
        listed = " or ".join(repr(target.name) for target in targets)
        notes.append(f"{without:,} of {len(table):,} rows have no {listed} and are left out")
    notes += [note for each in columns if isinstance(each, Read) for note in each.notes]
    return Report(
        f"{table.path.name}: {len(y):,} rows, read as",
        {name: words.get(name, "left out, as the options say") for name in table.columns},
        tuple(notes),
    )
