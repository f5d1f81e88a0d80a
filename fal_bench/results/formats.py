"""What the files of a run look like: curve and ledger as CSV, arrays as a NumPy archive.

Readers may be given anything, since files of earlier versions have no seals: they raise whatever
the bytes lead to, and the caller says which file it was.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fal_bench.federation.journal import Row
from fal_bench.federation.ledger import FURTHER

_KINDS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(["cycle", "labels", "labels_strict", "bytes_up", "bytes_down"], int),
    **dict.fromkeys(["labels_by_client", "labels_strict_by_client"], str),
}
"""What the values of a curve are; all others are numbers."""

_CHARGE: Final = ["client", "sample", "purpose", "cycle"]


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Return the columns of a curve with these rows."""
    return Row.columns({name for row in rows for name in row.metrics})


def curve_csv(rows: Sequence[Row]) -> bytes:
    """Return a curve as CSV, with its heading."""
    columns = columns_of(rows)
    return ",".join(columns).encode() + b"\n" + curve_lines(rows, columns)


def curve_lines(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    """Return rows as lines of CSV; a metric without a value is an empty field.

    Args:
        rows: the rows.
        columns: the columns of the file that they are for.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writerows(map(_record, rows))
    return text.getvalue().encode()


def read_curve(text: str) -> list[Row]:
    """Return the rows of a curve; a last line that was cut short is left out.

    Raises:
        ValueError, LookupError, TypeError: it is no curve.
    """
    complete = text[: text.rfind("\n") + 1].splitlines()
    # Nothing in a curve is quoted, and the labels of many clients are longer than csv reads.
    heading, *lines = [line.split(",") for line in complete if line] or [[]]
    if not lines:
        return []
    # Column by column, since this is most of the work of a report on many runs.
    texts = dict(zip(heading, zip(*lines, strict=True), strict=True))
    columns: list[Iterable[Any]] = [
        map(_KINDS.get(name, float), texts.pop(name)) for name in Row.columns()
    ]
    metrics = [[float(text) if text else math.nan for text in column] for column in texts.values()]
    measured = zip(*metrics, strict=True) if metrics else [()] * len(lines)
    columns.append(dict(zip(texts, values, strict=True)) for values in measured)
    return [Row(*values) for values in zip(*columns, strict=True)]


def ledger_csv(charges: Sequence[tuple[int, int, str, int]]) -> bytes:
    """Return the charges of a ledger as CSV: client, sample, purpose and cycle."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CHARGE)
    writer.writerows(charges)
    return text.getvalue().encode()


def count_charges(text: str) -> Counter[tuple[int, str, int]]:
    """Return how many labels a ledger charges, by cycle, purpose and client.

    A label that was read for several purposes is counted once, for the first of them, and each
    further vote once more, so that the counts add up to the strict labels.

    Raises:
        ValueError: it is no ledger.
    """
    heading, *lines = csv.reader(text.splitlines())
    if heading != _CHARGE:
        raise ValueError("it has other columns")
    votes = [line for line in lines if line[2] == FURTHER]
    # From the last to the first, so that the first one of a label stays.
    first = {
        (client, sample): (cycle, purpose, client)
        for client, sample, purpose, cycle in lines[::-1]
        if purpose != FURTHER
    }
    counts: Counter[tuple[int, str, int]] = Counter()
    read = [*first.values(), *((cycle, purpose, client) for client, _, purpose, cycle in votes)]
    for (cycle, purpose, client), labels in Counter(read).items():
        counts[int(cycle), purpose, int(client)] += labels
    return counts


def archive(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as the bytes of an ``.npz`` file."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def read_archive(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file; objects are refused."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def _record(row: Row) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in Row.columns()}
    return values | {
        name: "" if math.isnan(value) else value for name, value in row.metrics.items()
    }
