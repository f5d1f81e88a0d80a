"""Reading whose each file of a folder is from a CSV file."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Final

from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.inputs.cells import read_name
from fal_bench.inputs.files import UnreadableFileError, read_text

COLUMNS: Final = ("file", "client")
"""Names of the columns; others are ignored."""


def read_owners(path: Path) -> dict[str, str]:
    """Return the client of each file that a CSV file lists.

    Args:
        path: the CSV file, with the columns ``file`` (relative to the folder of the data, with
            ``/``) and ``client``.

    Raises:
        DataError: it cannot be read.
        InvalidSpecError: a column is missing or there twice, a cell cannot be used, or a file has
            two clients.
    """
    try:
        rows = csv.DictReader(io.StringIO(read_text(path, links=True), newline=""), strict=True)
        header = tuple(rows.fieldnames or ())
        if missing := [name for name in COLUMNS if name not in header]:
            raise InvalidSpecError(
                f"{str(path)!r} has no column {missing[0]!r}; its first line must name the columns "
                f"{' and '.join(COLUMNS)}."
            )
        if twice := [name for name in COLUMNS if header.count(name) > 1]:
            raise InvalidSpecError(f"{str(path)!r} has two columns of the name {twice[0]!r}.")
        owners: dict[str, str] = {}
        for row in rows:
            where = f"{str(path)!r}, line {rows.line_num}"
            name, client = (row[column] or "" for column in COLUMNS)
            if not name or not client:
                raise InvalidSpecError(f"{where}: name a file and its client.")
            try:
                read_name(client)
            except ValueError as error:
                raise InvalidSpecError(f"{where}: the client is wrong: {error}.") from None
            if owners.setdefault(name, client) != client:
                raise InvalidSpecError(
                    f"{where}: {name!r} is of client {client!r}, and of {owners[name]!r} before; "
                    "name one client a file."
                )
    except (UnreadableFileError, csv.Error) as error:
        cause = getattr(error, "cause", None) or error
        raise DataError(f"Cannot read the clients from {str(path)!r}: {cause}.") from None
    return owners
