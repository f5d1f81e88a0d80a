"""Curves that were measured elsewhere: reading them, and keeping them in a results folder.

A results folder keeps them in its folder ``external``: one CSV file an import, whose first line
says where the curves come from. Deleting the file undoes the import.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from fal_bench.errors import ExternalCurvesError, StoreError, UnknownNameError, one_line
from fal_bench.inputs.cells import (
    MOST_CELLS,
    cells_in,
    guarded,
    read_count,
    read_name,
    read_number,
    read_whole,
)
from fal_bench.inputs.files import UnreadableFileError, decoded, parsed, read_bytes
from fal_bench.plugins.registry import current_registry
from fal_bench.results.files import write_atomically
from fal_bench.results.model import (
    BY_CLIENT,
    CHARGES,
    COSTS,
    KEYS,
    RUNS,
    TASKS,
    ImportOrigin,
    Provenance,
    Results,
    empty_run,
)
from fal_bench.task import Task

REQUIRED = ("task", "strategy", "seed", "labels")

_HASH = re.compile(r"[0-9a-f]{64}")
_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*")
_MARK = "# external curves: "
_ORIGIN = ("file", "sha256", "imported")


def _share(text: str) -> float:
    value = read_number(text)
    if not 0 <= value <= 1:
        hint = "; write 0.62 for 62 %" if 1 < value <= 100 else ""
        raise ValueError(f"{text} is not between 0 and 1{hint}")
    return value


def _amount(text: str) -> float:
    value = read_number(text)
    if value < 0:
        raise ValueError(f"{text} is below 0")
    return value


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise ValueError("a task hash has 64 hexadecimal digits; leave it empty if there is none")
    return text


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


_READERS: dict[str, Callable[[str], Any]] = {
    "task": read_name,
    "strategy": read_name,
    "seed": read_whole,
    "cycle": read_count,
    "labels": read_count,
    "labels_strict": read_count,
    "bytes_up": read_count,
    "bytes_down": read_count,
    "train_seconds": _amount,
    "select_seconds": _amount,
    "task_hash": _hash,
    "reference": _truth,
}
"""How a value is read, by column; each raises ``ValueError`` with a reason."""


@dataclass(frozen=True)
class CurvesText:
    """What a file of curves holds.

    Attributes:
        rows: the rows, sorted by task, strategy, seed and cycle; None stands where the file has no
            value.
        lines: the line of the file on which each row ends.
        metrics: the columns that are metrics.
        ignored: columns that are of no use.
    """

    rows: tuple[dict[str, Any], ...]
    lines: tuple[int, ...]
    metrics: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Import:
    """Curves that were imported together.

    Attributes:
        origin: what the import is called, and where it comes from.
        curves: the curves.
    """

    origin: ImportOrigin
    curves: CurvesText


class ImportFolder:
    """The imports of a results folder.

    Args:
        root: the results folder.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / "external"

    def names(self) -> list[str]:
        """Return the names of all imports, sorted."""
        if not self.path.is_dir():
            return []
        return sorted(path.stem for path in self.path.glob("[!.]*.csv"))

    def imports(self) -> list[Import]:
        """Read all imports, by name.

        Raises:
            ExternalCurvesError: one cannot be read.
        """
        return [_read_kept(self._file(name)) for name in self.names()]

    def add(self, new: Import) -> Import:
        """Store an import; one with the same content changes nothing.

        Returns:
            The import that is there now: an earlier one if its file had the same content.

        Raises:
            ExternalCurvesError: other curves have this name.
            StoreError: the folder cannot be written.
        """
        present = {one.origin.name: one for one in self.imports()}
        name = new.origin.name
        for one in present.values():
            if one.origin.sha256 == new.origin.sha256:
                return one
        if name in present:
            other = present[name].origin
            raise ExternalCurvesError(
                f"Other curves are imported as {name!r} already (from {other.file}, "
                f"{other.imported}); choose another name with --name, or take those away with "
                f"--remove {name}."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            content = _written(new).encode()
            write_atomically(self._file(name), lambda file: file.write(content))
        except OSError as error:
            raise StoreError(
                f"Cannot write to {str(self.path)!r} ({error.strerror}); choose another results "
                "folder."
            ) from None
        return new

    def remove(self, name: str) -> None:
        """Delete an import.

        Raises:
            StoreError: there are none at all.
            UnknownNameError: there are others.
        """
        names = self.names()
        if not names:
            raise StoreError(f"There are no external curves in {str(self.path.parent)!r}.")
        if name not in names:
            raise UnknownNameError("import", name, names)
        self._file(name).unlink()

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.csv"


def read_import(
    path: Path, tasks: Collection[Task], *, name: str | None = None, hint: str = ""
) -> Import:
    """Read and check a file that is to be imported; writes nothing.

    Args:
        path: the file.
        tasks: the tasks that its curves may belong to, by name or by hash.
        name: what to call the import; by default the name of the file without its ending.
        hint: what to say before an unknown task.

    Raises:
        ExternalCurvesError: something in it cannot be used.
        UnreadableFileError: it cannot be read.
    """
    new = _read_new(path, name)
    hashes, names = {task.hash for task in tasks}, {task.name for task in tasks}
    lines = zip(new.curves.lines, new.curves.rows, strict=True)
    for line, row in sorted(lines, key=lambda pair: pair[0]):
        if row["task"] not in names and row["task_hash"] not in hashes:
            text = str(UnknownNameError("task", row["task"], names))
            raise ExternalCurvesError(
                f"{path.name}, line {line}, column task: {hint}{text[0].lower()}{text[1:]}"
            )
    return new


def read_file(path: Path) -> Results:
    """Open a CSV file of curves as results: all its runs are external.

    Raises:
        ExternalCurvesError: something in it cannot be used.
        UnreadableFileError: it cannot be read.
    """
    kept = read_bytes(path, links=True).startswith(_MARK.encode())
    one = _read_kept(path) if kept else _read_new(path, None)
    return as_results([one])


def as_results(imports: Sequence[Import]) -> Results:
    """Return imports as results: all their runs are external."""
    runs, curves = import_frames(imports)
    empty = pd.DataFrame(columns=CHARGES), pd.DataFrame(columns=TASKS)
    return Results(runs, curves, *empty, Provenance(imports=tuple(one.origin for one in imports)))


def import_frames(imports: Sequence[Import]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the runs and the curves of imports, as ``Results`` has them."""
    runs: dict[str, dict[str, Any]] = {}
    curves = []
    for one in imports:
        for row in one.curves.rows:
            run = [one.origin.sha256, row["task"], row["strategy"], row["seed"]]
            key = hashlib.sha256(json.dumps(run).encode()).hexdigest()
            if key not in runs:
                runs[key] = _run(key, one.origin.name, row)
            taken = (*KEYS, *COSTS, *one.curves.metrics)
            curves.append({"key": key, **{name: row[name] for name in taken}})
    metrics = sorted({name for one in imports for name in one.curves.metrics})
    frame = pd.DataFrame(curves, columns=["key", *KEYS, *metrics, *COSTS])
    numbers = ["labels_strict", *metrics, *COSTS]
    return pd.DataFrame(list(runs.values()), columns=RUNS), frame.astype(
        dict.fromkeys(numbers, float)
    )


def _run(key: str, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **empty_run(),
        **{column: row[column] for column in ("task", "strategy", "seed")},
        "key": key,
        "task_hash": row["task_hash"] or "",
        "trainer_named": False,
        "variant": name,
        "origin": name,
        "reference": bool(row["reference"]),
        "numerics": 0,
        "state": "done",
    }


def _read_new(path: Path, name: str | None) -> Import:
    if name is None:
        name = re.sub(r"[^A-Za-z0-9._+-]+", "-", path.stem).strip("-.") or "curves"
    if not _NAME.fullmatch(name):
        raise ExternalCurvesError(
            f"--name cannot be {name!r}; use letters, digits and . _ + - without a leading dot."
        )
    content = read_bytes(path, links=True)
    # The name of a file may be any bytes, of a row only text that can be shown.
    file = guarded(one_line(path.name))
    curves = read_curves_text(decoded(path, content), file)
    today = datetime.now(UTC).date().isoformat()
    return Import(ImportOrigin(name, file, _sha256(content), today), curves)


def _read_kept(path: Path) -> Import:
    """Read an import of a results folder.

    Those of earlier versions have no digest.
    """
    try:
        first, _, table = decoded(path, read_bytes(path)).partition("\n")
        given = parsed(path, first.removeprefix(_MARK))
        origin = {key: str(given[key]) for key in _ORIGIN}
        if "digest" in given and given["digest"] != _digest(origin, table):
            raise ValueError("it was changed after the import")
        file, digest, day = one_line(origin["file"]), origin["sha256"], origin["imported"]
        _hash(digest)
        date.fromisoformat(day)
    except UnreadableFileError as error:
        raise _spoiled(path, error.cause) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _spoiled(path, str(error)) from None
    curves = read_curves_text(table, str(path), first_line=2)
    return Import(ImportOrigin(path.stem, file, digest, day), curves)


def _spoiled(path: Path, why: str) -> ExternalCurvesError:
    return ExternalCurvesError(
        f"Cannot read the external curves {str(path)!r} ({why}); delete the file and import them "
        "again."
    )


def _written(new: Import) -> str:
    table = io.StringIO(newline="")
    columns = [*_READERS, *new.curves.metrics]
    writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(new.curves.rows)
    rows = table.getvalue()
    origin = {key: getattr(new.origin, key) for key in _ORIGIN}
    first = json.dumps({**origin, "digest": _digest(origin, rows)})
    return f"{_MARK}{first}\n{rows}"


def _digest(origin: Mapping[str, str], rows: str) -> str:
    return _sha256(f"{json.dumps(origin)}\n{rows}".encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Reading the text: every mistake is named with its line and column.


@dataclass(frozen=True)
class _Line:
    file: str
    number: int
    row: dict[str, Any]

    @property
    def run(self) -> str:
        return f"{self.row['strategy']!r} on {self.row['task']!r}, seed {self.row['seed']},"

    def mistake(self, column: str, reason: str) -> ExternalCurvesError:
        return ExternalCurvesError(f"{self.file}, line {self.number}, column {column}: {reason}.")


def read_curves_text(text: str, file: str, *, first_line: int = 1) -> CurvesText:
    """Read CSV text.

    A column that is none of the known ones is a metric if it holds numbers alone.

    Args:
        text: the text; the first line holds the columns' names.
        file: name of the file, for messages.
        first_line: number of the text's first line in that file.

    Raises:
        ExternalCurvesError: something cannot be used.
    """
    heading, lines = _table(text, file, first_line)
    metrics = tuple(
        name
        for name in heading
        if name not in _READERS and _is_metric(name, [line.row[name] for line in lines])
    )
    if not metrics:
        raise ExternalCurvesError(f"{file}, line {first_line}: {_needed('accuracy')}")
    readers = {**_READERS, **{name: _metric_reader(name) for name in metrics}}
    read = [_read(line, readers, place) for place, line in enumerate(lines)]
    ordered = _in_order(read, counted="cycle" in heading)
    return CurvesText(
        tuple(line.row for line in ordered),
        tuple(line.number for line in ordered),
        metrics,
        tuple(one_line(name) for name in heading if name not in readers),
    )


def _table(text: str, file: str, first_line: int) -> tuple[list[str], list[_Line]]:
    """Return the columns' names, and the lines below them as text by column."""
    if cells_in(text) > MOST_CELLS:
        raise ExternalCurvesError(
            f"{file} has more than {MOST_CELLS} values, the most that are read at once; import it "
            "in parts."
        )
    longest = csv.field_size_limit(len(text))  # the labels of many clients are one long field
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[_Line] = []
    try:
        heading = [name.strip() for name in next(reader, [])]
        _check_heading(heading, file, first_line)
        for values in filter(None, reader):
            number = reader.line_num + first_line - 1
            if len(values) != len(heading):
                raise ExternalCurvesError(
                    f"{file}, line {number}: it has {len(values)} values for {len(heading)} "
                    "columns."
                )
            row = zip(heading, map(str.strip, values), strict=True)
            lines.append(_Line(file, number, dict(row)))
    except csv.Error as error:
        number = reader.line_num + first_line - 1
        raise ExternalCurvesError(f"{file}, line {number}: this is no CSV ({error}).") from None
    finally:
        csv.field_size_limit(longest)
    if not lines:
        raise ExternalCurvesError(f"{file} has no rows below its heading.")
    return heading, lines


def _needed(name: str) -> str:
    return (
        f"there is no column {name}; it needs {', '.join(REQUIRED)} and accuracy or another "
        "metric, separated by commas."
    )


def _metric_reader(name: str) -> Callable[[str], float]:
    """Return how a metric's values are read, within the bounds that are known of it."""
    metric = current_registry().metrics.known(name)
    if metric is not None and metric.share:
        return _share
    return _amount if name == "loss" else read_number


def _is_metric(name: str, texts: Sequence[str]) -> bool:
    if name in current_registry().metrics.names():
        return True
    try:
        numbers = [float(text) for text in texts if text]
    except ValueError:
        return False
    return bool(numbers) and bool(_METRIC.fullmatch(name)) and name not in BY_CLIENT


def _check_heading(heading: Sequence[str], file: str, line: int) -> None:
    if not any(heading):
        raise ExternalCurvesError(f"{file} is empty; {_needed('task').partition('; ')[2]}")
    for name in REQUIRED:
        if name not in heading:
            raise ExternalCurvesError(f"{file}, line {line}: {_needed(name)}")
    for name, count in Counter(heading).items():
        if count > 1:
            raise ExternalCurvesError(f"{file}, line {line}: there are two columns {name!r}.")


def _read(line: _Line, readers: Mapping[str, Callable[[str], Any]], place: int) -> _Line:
    """Return a line with values in place of text."""
    found: dict[str, Any] = dict.fromkeys(readers)
    for name, text in line.row.items():
        if name not in readers or (not text and name not in (*REQUIRED, "cycle", "accuracy")):
            continue
        try:
            if not text:
                raise ValueError("there is no value")
            found[name] = readers[name](text)
        except ValueError as error:
            raise line.mistake(name, str(error)) from None
    if found["cycle"] is None:
        found["cycle"] = place  # in the order of the file; numbered by run further on
    return replace(line, row=found)


def _in_order(lines: Sequence[_Line], *, counted: bool) -> list[_Line]:
    """Return the rows by run and cycle, if they can be so."""
    runs: dict[tuple[str, str, int], list[_Line]] = defaultdict(list)
    for line in lines:
        runs[line.row["task"], line.row["strategy"], line.row["seed"]].append(line)
    ordered = [line for key in sorted(runs) for line in _checked_run(runs[key], counted=counted)]
    for by, column in (("task", "task_hash"), ("task_hash", "task"), ("strategy", "reference")):
        _check_constant(ordered, by, column)
    return ordered


def _checked_run(lines: list[_Line], *, counted: bool) -> list[_Line]:
    """Return the rows of a run in order of cycles, if they can follow each other."""
    column = "cycle" if counted else "labels"
    first: dict[int, int] = {}
    for line in lines:
        value = line.row[column]
        if value in first:
            raise line.mistake(
                column, f"{line.run} has {column} {value} on line {first[value]} already"
            )
        first[value] = line.number
    ordered = sorted(lines, key=lambda line: line.row["cycle"])
    for before, line in zip([ordered[0], *ordered], ordered, strict=False):
        _check_labels(before.row, line)
    if counted:
        return ordered
    return [replace(line, row={**line.row, "cycle": n}) for n, line in enumerate(ordered)]


def _check_labels(before: Mapping[str, Any], line: _Line) -> None:
    """Check the labels of a line against those of the one before it in its run."""
    labels, strict = line.row["labels"], line.row["labels_strict"]
    if (strict is None) != (before["labels_strict"] is None):
        raise line.mistake("labels_strict", f"{line.run} has a value in some rows only")
    if strict is not None and strict < labels:
        raise line.mistake(
            "labels_strict", f"{strict} is below the {labels} paper labels, which are a part of it"
        )
    for name in ("labels", "labels_strict"):
        now, earlier = line.row[name], before[name]
        if now is not None and now < earlier:
            raise line.mistake(
                name,
                f"the labels of {line.run} fall from {earlier} to {now}, and they never can",
            )


def _check_constant(lines: Sequence[_Line], by: str, column: str) -> None:
    """Check that one value of a column goes with every value of another one."""
    first: dict[object, _Line] = {}
    for line in sorted(lines, key=lambda line: line.number):
        if (key := line.row[by]) is None:
            continue
        other = first.setdefault(key, line)
        if line.row[column] != other.row[column]:
            raise line.mistake(
                column, f"the value differs from that of the same {by} on line {other.number}"
            )
