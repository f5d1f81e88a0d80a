"""The external curves of a results folder: one file an import, and deleting it undoes it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

from fal_bench.errors import ExternalCurvesError, StoreError, UnknownNameError
from fal_bench.external.columns import Measured
from fal_bench.external.reading import CurvesText, read_curves_text
from fal_bench.sweep.files import write_atomically
from fal_bench.task import Task

_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*")
_MARK = "# external curves: "


@dataclass(frozen=True)
class Import:
    """Curves that were imported together.

    Attributes:
        name: what the import is called.
        file: name of the file they came from.
        sha256: digest of that file.
        imported: date of the import (UTC), as in 2026-01-31.
        rows: the curves, sorted by task, strategy, seed and cycle.
    """

    name: str
    file: str
    sha256: str
    imported: str
    rows: tuple[Measured, ...]


class ExternalFolder:
    """The folder ``external`` of a results folder: one CSV file an import.

    The first line of a file says where the curves come from; the rest is a table with the columns
    of ``Measured``.

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
        return [self._read(name) for name in self.names()]

    def add(self, new: Import) -> Import:
        """Store an import; one with the same content changes nothing.

        Returns:
            The import that is there now: an earlier one if its file had the same content.

        Raises:
            ExternalCurvesError: other curves have this name.
            StoreError: the folder cannot be written.
        """
        present = {one.name: one for one in self.imports()}
        for one in present.values():
            if one.sha256 == new.sha256:
                return one
        if new.name in present:
            other = present[new.name]
            raise ExternalCurvesError(
                f"Other curves are imported as {new.name!r} already (from {other.file}, "
                f"{other.imported}); choose another name with --name, or take those away with "
                f"--remove {new.name}."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            content = _written(new).encode()
            write_atomically(self._file(new.name), lambda file: file.write(content))
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

    def _read(self, name: str) -> Import:
        path = self._file(name)
        try:
            first, _, table = path.read_text(encoding="utf-8").partition("\n")
            origin = json.loads(first.removeprefix(_MARK))
            file, digest, date = (str(origin[key]) for key in ("file", "sha256", "imported"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExternalCurvesError(
                f"Cannot read the external curves {str(path)!r} ({error}); delete the file and "
                "import them again."
            ) from None
        rows = read_curves_text(table, str(path), first_line=2).rows
        return Import(name, file, digest, date, rows)


def read_import(
    path: Path, tasks: Collection[Task], *, name: str | None = None, hint: str = ""
) -> tuple[Import, tuple[str, ...]]:
    """Read and check a file that is to be imported; writes nothing.

    Args:
        path: the file.
        tasks: the tasks that its curves may belong to, by name or by hash.
        name: what to call the import; by default the name of the file without its ending.
        hint: what to say before an unknown task.

    Returns:
        The import, and the columns of the file that are ignored.

    Raises:
        ExternalCurvesError: something in it cannot be used.
        OSError: it cannot be read.
    """
    if name is None:
        name = re.sub(r"[^A-Za-z0-9._+-]+", "-", path.stem).strip("-.") or "curves"
    if not _NAME.fullmatch(name):
        raise ExternalCurvesError(
            f"--name cannot be {name!r}; use letters, digits and . _ + - without a leading dot."
        )
    content = path.read_bytes()
    try:
        read = read_curves_text(content.decode(), path.name)
    except UnicodeDecodeError:
        raise ExternalCurvesError(f"{path.name} is not UTF-8 text; save it as UTF-8.") from None
    _check_tasks(read, path.name, tasks, hint)
    digest, today = hashlib.sha256(content).hexdigest(), datetime.now(UTC).date().isoformat()
    return Import(name, path.name, digest, today, read.rows), read.ignored


def _check_tasks(read: CurvesText, file: str, tasks: Collection[Task], hint: str) -> None:
    hashes, names = {task.hash for task in tasks}, {task.name for task in tasks}
    for line, row in sorted(zip(read.lines, read.rows, strict=True), key=lambda pair: pair[0]):
        if row.task not in names and row.task_hash not in hashes:
            text = str(UnknownNameError("task", row.task, names))
            raise ExternalCurvesError(
                f"{file}, line {line}, column task: {hint}{text[0].lower()}{text[1:]}"
            )


def _written(new: Import) -> str:
    origin = {"file": new.file, "sha256": new.sha256, "imported": new.imported}
    text = io.StringIO(newline="")
    text.write(f"{_MARK}{json.dumps(origin)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Measured.columns())
    writer.writerows(_texts(new.rows))
    return text.getvalue()


def _texts(rows: Sequence[Measured]) -> list[list[str]]:
    return [["" if value is None else str(value) for value in astuple(row)] for row in rows]
