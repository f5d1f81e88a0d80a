"""Tables: the user's own CSV or Parquet files, a sample a row."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from fal_bench.data.base import Dataset
from fal_bench.data.prepared import CacheKey, Prepared, Source, prepare
from fal_bench.data.tables import TAB, TableFiles
from fal_bench.plugins.functions import dataset

_NAME = "table"

Fraction = Annotated[float, Field(ge=0.01, le=0.99)]
Separator = Annotated[str, Field(pattern=f"^({TAB}|[ -~])$")]


def _digest(*, drop: tuple[str, ...] = (), categories: tuple[str, ...] = (), **files: Any) -> str:
    """Return the SHA-256 of the files."""
    return _prepare(TableFiles(**files), drop, categories).digest


@dataset(digest=_digest, whereabouts=lambda: "your own file")
def load_table(
    path: Path,
    label: str,
    client: str | None = None,
    drop: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    test_path: Path | None = None,
    test_fraction: Fraction = 0.2,
    separator: Separator = ",",
) -> Dataset:
    """Load your own CSV or Parquet file, a sample a row: one column of labels, the others features.

    Columns of numbers get mean 0 and standard deviation 1 over the training rows. Columns of text
    become one feature a category (one-hot). Samples have shape (features, 1, 1).

    Args:
        path: the file, with names of columns; a relative path is one in the data folder.
        label: the column of classes, which may be numbers or text.
        client: the column that says whose a row is, for the partition ``given``.
        drop: columns that a model must not see, such as an identifier.
        categories: columns of numbers that are categories, such as a postcode.
        test_path: a file with the test rows.
        test_fraction: share of the rows that are the test part if there is no such file; drawn
            in the proportions of classes and clients, the same in every run; from 0.01 to 0.99.
        separator: what stands between two cells of a CSV file; ``tab`` for a tab.

    Raises:
        DataError: a file is missing or cannot be read.
        InvalidSpecError: a column is missing, or has missing or unusable values.
    """
    files = TableFiles(path, label, client, test_path, test_fraction, separator)
    return _prepare(files, drop, categories).dataset(_NAME)


def _prepare(files: TableFiles, drop: tuple[str, ...], categories: tuple[str, ...]) -> Prepared:
    key = CacheKey(_NAME, files.place(drop=drop, categories=categories), files.stamps)
    return prepare(key, partial(_read, files, drop, categories))


def _read(
    files: TableFiles,
    drop: tuple[str, ...],
    categories: tuple[str, ...],
    scratch: Path,  # noqa: ARG001
) -> Source:
    table = files.read()
    train, test = table.split(files.test_fraction)
    features = table.encoded(table.inputs(drop), categories, train)
    return table.source(features, train, test, files.digest)
