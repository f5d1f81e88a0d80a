"""Texts: the user's own CSV or Parquet files, a text a row."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from fal_bench.data.base import Dataset
from fal_bench.data.prepared import CacheKey, Prepared, Source, prepare
from fal_bench.data.tables import TableFiles
from fal_bench.datasets._text import Encoder, encode, encoder_version
from fal_bench.plugins.functions import dataset

_NAME = "text"

Fraction = Annotated[float, Field(ge=0.01, le=0.99)]
Separator = Annotated[str, Field(min_length=1, max_length=1)]


def _digest(*, text: str, encoder: Encoder = "words", **files: Any) -> str:
    """Return the SHA-256 of the files, and the version of the encoder."""
    return f"{_prepare(TableFiles(**files), text, encoder).digest} {encoder_version(encoder)}"


@dataset(digest=_digest, whereabouts=lambda: "your own file")
def load_text(
    path: Path,
    text: str,
    label: str,
    client: str | None = None,
    encoder: Encoder = "words",
    test_path: Path | None = None,
    test_fraction: Fraction = 0.2,
    separator: Separator = ",",
) -> Dataset:
    """Load your own texts from a CSV or Parquet file, a text a row, as vectors.

    Args:
        path: the file, with names of columns; a relative path is one in the data folder.
        text: the column of texts; other columns are not used.
        label: the column of classes, which may be numbers or text.
        client: the column that says whose a row is, for the partition ``given``.
        encoder: ``"words"`` (counts of words in 1,024 places), or ``"wordllama"`` (256 numbers,
            from the package of that name).
        test_path: a file with the test rows.
        test_fraction: share of the rows that are the test part if there is no such file; drawn
            in the proportions of classes and clients, the same in every run; from 0.01 to 0.99.
        separator: what stands between two cells of a CSV file; ``tab`` for a tab.

    Raises:
        DataError: a file is missing or cannot be read, or the encoder is not installed.
        InvalidSpecError: a column is missing, or has missing values.
    """
    files = TableFiles(path, label, client, test_path, test_fraction, separator)
    return _prepare(files, text, encoder).dataset(_NAME)


def _prepare(files: TableFiles, text: str, encoder: Encoder) -> Prepared:
    place = files.place(text=text, encoder=encoder)
    key = CacheKey(_NAME, place, [files.stamps, encoder_version(encoder)])
    return prepare(key, partial(_read, files, text, encoder))


def _read(files: TableFiles, text: str, encoder: Encoder, scratch: Path) -> Source:  # noqa: ARG001
    table = files.read()
    train, test = table.split(files.test_fraction)
    features = encode(table.texts(text), encoder, train)
    return table.source(features, train, test, files.digest)
