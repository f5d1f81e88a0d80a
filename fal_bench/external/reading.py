"""Reading a file of external curves: every mistake is named with its line and column."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fal_bench.errors import ExternalCurvesError
from fal_bench.external.columns import READERS, REQUIRED, Measured

_NEEDED = f"it needs {', '.join(REQUIRED[:-1])} and {REQUIRED[-1]}"


@dataclass(frozen=True)
class CurvesText:
    """What a file of external curves holds.

    Attributes:
        rows: the rows, sorted by task, strategy, seed and cycle.
        lines: the line of the file on which each row ends.
        ignored: columns that falbench does not know.
    """

    rows: tuple[Measured, ...]
    lines: tuple[int, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    number: int
    row: Measured


def read_curves_text(text: str, file: str, *, first_line: int = 1) -> CurvesText:
    """Read CSV text.

    Args:
        text: the text; the first line holds the columns' names.
        file: name of the file, for messages.
        first_line: number of the text's first line in that file.

    Raises:
        ExternalCurvesError: something cannot be used.
    """
    # A file saved by a spreadsheet may begin with a byte order mark.
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    lines: list[_Line] = []
    try:
        heading = [name.strip() for name in next(reader, [])]
        _check_heading(heading, file, first_line)
        for values in reader:
            if values:
                number = reader.line_num + first_line - 1
                lines.append(_Line(number, _row(heading, values, file, number, len(lines))))
    except csv.Error as error:
        number = reader.line_num + first_line - 1
        raise ExternalCurvesError(f"{file}, line {number}: this is no CSV ({error}).") from None
    if not lines:
        raise ExternalCurvesError(f"{file} has no rows below its heading.")
    runs: dict[tuple[str, str, int], list[_Line]] = defaultdict(list)
    for line in lines:
        runs[line.row.task, line.row.strategy, line.row.seed].append(line)
    counted = "cycle" in heading
    ordered = [
        line for key in sorted(runs) for line in _checked_run(runs[key], file, counted=counted)
    ]
    _check_constant(ordered, file, "task", "task_hash")
    _check_constant(ordered, file, "task_hash", "task")
    _check_constant(ordered, file, "strategy", "reference")
    return CurvesText(
        tuple(line.row for line in ordered),
        tuple(line.number for line in ordered),
        tuple(name for name in heading if name not in READERS),
    )


def _check_heading(heading: Sequence[str], file: str, line: int) -> None:
    if not any(heading):
        raise ExternalCurvesError(f"{file} is empty; {_NEEDED}.")
    for name in REQUIRED:
        if name not in heading:
            raise ExternalCurvesError(
                f"{file}, line {line}: there is no column {name}; {_NEEDED}, separated by commas."
            )
    for name in heading:
        if heading.count(name) > 1:
            raise ExternalCurvesError(f"{file}, line {line}: there are two columns {name!r}.")


def _row(
    heading: Sequence[str], values: Sequence[str], file: str, line: int, place: int
) -> Measured:
    if len(values) != len(heading):
        raise ExternalCurvesError(
            f"{file}, line {line}: it has {len(values)} values for {len(heading)} columns."
        )
    found: dict[str, Any] = dict.fromkeys(READERS)
    for name, value in zip(heading, values, strict=True):
        text = value.strip()
        if name not in READERS or (not text and name not in (*REQUIRED, "cycle")):
            continue
        try:
            if not text:
                raise ValueError("there is no value")
            found[name] = READERS[name](text)
        except ValueError as error:
            raise _mistake(file, line, name, str(error)) from None
    if found["cycle"] is None:
        found["cycle"] = place  # in the order of the file; numbered by run further on
    return Measured(**found)


def _checked_run(lines: list[_Line], file: str, *, counted: bool) -> list[_Line]:
    """Return the rows of a run in order of cycles, if they can follow each other."""
    column = "cycle" if counted else "labels"
    first: dict[int, int] = {}
    for line in lines:
        value = getattr(line.row, column)
        if value in first:
            raise _mistake(
                file, line.number, column,
                f"{_run(line.row)} has {column} {value} on line {first[value]} already",
            )  # fmt: skip
        first[value] = line.number
    ordered = sorted(lines, key=lambda line: line.row.cycle)
    for before, line in zip([None, *ordered], ordered, strict=False):
        _check_labels(None if before is None else before.row, line, ordered[0].row, file)
    if counted:
        return ordered
    return [_Line(line.number, replace(line.row, cycle=n)) for n, line in enumerate(ordered)]


def _check_labels(before: Measured | None, line: _Line, first: Measured, file: str) -> None:
    row = line.row
    if (row.labels_strict is None) != (first.labels_strict is None):
        raise _mistake(
            file, line.number, "labels_strict", f"{_run(row)} has a value in some rows only"
        )
    if row.labels_strict is not None and row.labels_strict < row.labels:
        raise _mistake(
            file, line.number, "labels_strict",
            f"{row.labels_strict} is below the {row.labels} paper labels, which are a part of it",
        )  # fmt: skip
    for name in ("labels", "labels_strict"):
        value, earlier = getattr(row, name), None if before is None else getattr(before, name)
        if earlier is not None and value < earlier:
            raise _mistake(
                file, line.number, name,
                f"the labels of {_run(row)} fall from {earlier} to {value}, and they never can",
            )  # fmt: skip


def _check_constant(lines: Sequence[_Line], file: str, by: str, column: str) -> None:
    """Check that one value of a column goes with every value of another one."""
    first: dict[object, _Line] = {}
    for line in sorted(lines, key=lambda line: line.number):
        if (key := getattr(line.row, by)) is None:
            continue
        other = first.setdefault(key, line)
        if getattr(line.row, column) != getattr(other.row, column):
            raise _mistake(
                file, line.number, column,
                f"the value differs from that of the same {by} on line {other.number}",
            )  # fmt: skip


def _run(row: Measured) -> str:
    return f"{row.strategy!r} on {row.task!r}, seed {row.seed},"


def _mistake(file: str, line: int, column: str, reason: str) -> ExternalCurvesError:
    return ExternalCurvesError(f"{file}, line {line}, column {column}: {reason}.")
