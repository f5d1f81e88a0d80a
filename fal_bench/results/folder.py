"""One run's directory: its description, curve, checkpoint, status and ledger.

What a result rests on is covered by a digest: ``run.json`` and ``status.json`` are sealed, the
status of a finished run holds the digests of all its other files, and the checkpoint of an
unfinished one is sealed and holds the rows of the curve up to it. Until a run is finished, its
``curve.csv`` is there to be looked at, and is never read back.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from fal_bench.errors import StoreError, message_of, one_line
from fal_bench.federation.journal import Row
from fal_bench.federation.memory import from_json_array, join, split, to_json_array
from fal_bench.federation.state import RunState
from fal_bench.inputs.files import (
    MOST_BYTES,
    MissingFileError,
    UnreadableFileError,
    decoded,
    read_bytes,
)
from fal_bench.inputs.validation import explained
from fal_bench.results.files import (
    read_sealed,
    read_sealed_bytes,
    sha256_of,
    unsealed,
    write_bytes,
    write_sealed,
    write_sealed_bytes,
)
from fal_bench.results.identity import description_key
from fal_bench.results.marks import Marks

Phase = Literal["new", "partial", "done", "failed"]

_FACTS, _FACTS_BEFORE, _STATUS = "run.json", "cell.json", "status.json"
_CURVE, _LEDGER, _MEMORY, _CHECKPOINT = "curve.csv", "ledger.csv", "memory.npz", "checkpoint.npz"

_BEFORE: Final[Mapping[str, set[str]]] = {
    "partial": {"phase", "run", "pid"},
    "done": {"phase", "curve", "ledger"},
    "failed": {"phase", "reason", "details"},
}
"""What ``status.json`` held before it was sealed: two digests at most, and none of itself."""

_LONGEST: Final = 100_000
"""Characters of a traceback that are kept."""

_SHOWN: Final = 200
"""Characters that are shown of what is wrong with a file."""

_CHARGE = ["client", "sample", "purpose", "cycle"]


class CorruptRunError(StoreError):
    """A run's files do not fit together."""


class Facts(BaseModel):
    """What is known of a run before it ends.

    Attributes:
        description: its canonical description.
        reference: whether its strategy is a yardstick and never ranked.
        trainer_named: whether the trainer belongs to what the strategy is called; None in runs of
            schema 1.
        label: in runs of schema 1 what the strategy is called; None in others.
        environment: what it is computed with: versions and processor.
        metrics: whether higher is better, by name; empty if that is not recorded.
        pool: samples in the query pool over all clients; 0 while it is not known.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    description: dict[str, Any]
    reference: StrictBool
    trainer_named: StrictBool | None = None
    label: str | None = None
    environment: dict[str, Any] = {}
    metrics: dict[str, StrictBool] = {}
    pool: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class _Status:
    """What ``status.json`` says.

    Attributes:
        phase: how far the run is; "new" if there is no such file.
        content: all of it.
        sealed: whether it carries a seal, which those of earlier versions do not.
    """

    phase: Phase = "new"
    content: Mapping[str, Any] = field(default_factory=dict)
    sealed: bool = True

    @property
    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """Digests (``sha256``) and sizes (``bytes``) of the other files, by their names."""
        if self.phase != "done":
            return {}
        if self.sealed:
            files: Mapping[str, Mapping[str, Any]] = self.content["files"]
            return files
        digests = {_CURVE: self.content["curve"], _LEDGER: self.content.get("ledger")}
        return {name: {"sha256": digest} for name, digest in digests.items() if digest}


class RunFolder(Marks):
    """The directory of one run, and the journal of its run.

    Files: ``run.json`` (description and environment), ``curve.csv`` (one row a cycle),
    ``checkpoint.npz`` (state before the next cycle, and the rows so far; gone when done),
    ``status.json``, ``ledger.csv`` (every charge; written when done), ``memory.npz`` (what the
    strategy keeps, if anything) and, while it runs, those of ``fal_bench.results.marks``.

    Args:
        path: the directory, named by the run's key; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._rows: list[Row] = []

    def create(self, facts: Mapping[str, Any], environment: dict[str, str], attempt: str) -> None:
        """Make the directory, describe the run, and note which round is at work on it.

        Args:
            facts: what is known of the run: ``description``, ``reference``, ``trainer_named`` and
                ``metrics`` of ``Facts``.
            environment: versions and processor.
            attempt: name of the supervisor's round; this process's id is noted beside it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._drop_old_checkpoint()
        self._write_facts({**facts, "environment": environment})
        self._set_status("partial", run=attempt, pid=str(os.getpid()))

    def move_over(self) -> None:
        """Give the files of a run of schema 1 the names of today."""
        if self._has(_FACTS_BEFORE):
            (self.path / _FACTS_BEFORE).rename(self.path / _FACTS)

    def in_progress(self) -> bool:
        """Whether the run is neither done nor failed; one with a damaged status is neither."""
        try:
            return self._status().phase in ("new", "partial")
        except CorruptRunError:
            return True

    def reopen(self) -> None:
        """Let a run that failed before go on where it was."""
        if self._status().phase == "failed":
            self._drop_old_checkpoint()
            self._set_status("partial")

    def note_pool(self, pool: int) -> None:
        """Keep the size of the query pool beside the description, for reports."""
        self._write_facts({**self.facts().model_dump(exclude_unset=True), "pool": pool})

    def phase(self) -> Phase:
        """Return how far the run is, once all that it rests on has been checked.

        Raises:
            CorruptRunError: a file is damaged, missing, or of another run.
        """
        if not os.path.lexists(self.path):
            return "new"
        names = self._names()
        status = self._status()
        if status.phase == "new":
            if left := names & {_CURVE, _LEDGER, _MEMORY, _CHECKPOINT}:
                raise CorruptRunError(f"{_STATUS} is missing beside {min(left)}")
            return "new"
        if status.phase != "failed" or self.is_described:
            self.facts()
        for name in status.files:
            with _blamed_on(name):
                self._content(name, status)
        if status.phase != "done":
            self._sealed_checkpoint(status)
        return status.phase

    @property
    def is_sealed(self) -> bool:
        """Whether digests cover all of the run; those of earlier versions cover parts of it."""
        return self._status().sealed

    @property
    def is_described(self) -> bool:
        """Whether there is a description; a run may fail before it is described."""
        return self._has(_FACTS) or self._has(_FACTS_BEFORE)

    def facts(self) -> Facts:
        """Return what is known of the run.

        Raises:
            CorruptRunError: it cannot be read, or belongs to another run.
        """
        status = self._status()
        path = self.path / self._facts_name(status)
        with _blamed_on(path.name):
            values, is_sealed = unsealed(path, self.path.name, self._content(path.name, status))
            if status.sealed and status.phase != "new" and not is_sealed:
                raise UnreadableFileError(path, "its seal is missing")
            facts = Facts.model_validate(values)
            if description_key(facts.description) != self.path.name:
                raise UnreadableFileError(path, "its description does not belong to its key")
            if status.phase == "done" and not facts.pool:
                raise UnreadableFileError(path, "the size of the query pool is missing")
        return facts

    def status(self) -> dict[str, Any]:
        """Return the content of ``status.json``.

        Raises:
            CorruptRunError: it is not there, cannot be read, or belongs to another run.
        """
        status = self._status()
        if status.phase == "new":
            raise CorruptRunError(f"{_STATUS} does not exist")
        return dict(status.content)

    def ended(self) -> datetime:
        """Return when the run was finished; in earlier versions the time of ``status.json``."""
        noted = self._status().content.get("finished")
        if noted is not None:
            return datetime.fromisoformat(noted)
        return datetime.fromtimestamp((self.path / _STATUS).stat().st_mtime, UTC)

    def rows(self) -> list[Row]:
        """Return the curve; a last line that was cut short is left out.

        Raises:
            CorruptRunError: the curve is not one of this format.
        """
        status, path = self._status(), self.path / _CURVE
        if status.phase != "done" and not self._has(_CURVE):
            return []
        with _blamed_on(path.name):
            lines = decoded(path, self._content(_CURVE, status)).splitlines(keepends=True)
            complete = [line for line in lines if line.endswith("\n")]
            reader = csv.DictReader(complete)
            if complete and not {*Row.columns()} <= {*(reader.fieldnames or ())}:
                raise UnreadableFileError(path, "it lacks columns")
            return [_row(record) for record in reader]

    def charges(self) -> tuple[Counter[tuple[int, str, int]], str]:
        """Return how many labels were read, by cycle, purpose and client, and the ledger's digest.

        A label that was read for several purposes is counted once, for the first of them, so that
        the counts add up to the strict labels. The digest does not depend on the ledger's order.

        Raises:
            CorruptRunError: the ledger cannot be read.
        """
        seen: set[tuple[str, str]] = set()
        counts: Counter[tuple[int, str, int]] = Counter()
        path = self.path / _LEDGER
        with _blamed_on(path.name):
            text = decoded(path, self._content(_LEDGER, self._status()))
            heading, *lines = csv.reader(text.splitlines())
            if heading != _CHARGE:
                raise UnreadableFileError(path, "it has other columns")
            for client, sample, purpose, cycle in lines:
                if (client, sample) not in seen:
                    seen.add((client, sample))
                    counts[int(cycle), purpose, int(client)] += 1
        return counts, sha256_of("\n".join(sorted(text.splitlines())).encode())

    def kept(self) -> list[dict[str, Any]]:
        """Return what the strategy kept of each client's memory; empty if nothing.

        Raises:
            CorruptRunError: it cannot be read.
        """
        status = self._status()
        if _MEMORY not in self._named(status):
            return []
        with _blamed_on(_MEMORY):
            found = _arrays(self._content(_MEMORY, status))
            memories: list[dict[str, Any]] = join(from_json_array(found["memories"]), found)
        return memories

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Return names and bytes of the files of a finished run, under the names of today.

        Raises:
            CorruptRunError: one of them is damaged.
        """
        status = self._status()
        for name in self._named(status):
            with _blamed_on(name):
                yield (_FACTS if name == _FACTS_BEFORE else name), self._content(name, status)

    # The journal of a running run.

    def resume(self) -> RunState | None:
        """Return the checkpoint, with the curve cut back to it; None starts over.

        Raises:
            CorruptRunError: the checkpoint cannot be read, or belongs to another run.
        """
        content = self._sealed_checkpoint(self._status())
        state, self._rows = None, []
        if content is not None:
            with _blamed_on(_CHECKPOINT):
                arrays = _arrays(content)
                self._rows = [Row(**values) for values in from_json_array(arrays.pop("rows"))]
                state = RunState.from_arrays(arrays)
        self._write_curve()
        return state

    def append(self, row: Row) -> None:
        """Add one row to the curve."""
        self._rows.append(row)
        self._write_curve()

    def checkpoint(self, state: RunState) -> None:
        """Replace ``checkpoint.npz``."""
        rows = to_json_array([asdict(row) for row in self._rows])
        content = _archive({**state.to_arrays(), "rows": rows})
        write_sealed_bytes(self.path / _CHECKPOINT, self.path.name, content)

    def finish(
        self, charges: Sequence[tuple[int, int, str, int]], kept: Sequence[dict[str, Any]]
    ) -> None:
        """Write curve, ledger and what is kept, mark the run done, and drop the checkpoint.

        Nothing but ``run.json``, which is sealed, is read back: what else lies in the directory
        may have been changed while the run was at work.
        """
        self.facts()
        contents = {
            _FACTS: read_bytes(self.path / _FACTS),
            _CURVE: _curve(self._rows),
            _LEDGER: _ledger(charges),
        }
        if any(kept):
            arrays: dict[str, NDArray[Any]] = {}
            arrays["memories"] = to_json_array(split(list(kept), arrays))
            contents[_MEMORY] = _archive(arrays)
        for name, content in contents.items():
            write_bytes(self.path / name, content)
        files = {
            name: {"bytes": len(content), "sha256": sha256_of(content)}
            for name, content in contents.items()
        }
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        self._set_status("done", files=files, finished=finished)
        self._drop_checkpoint()

    def fail(self, reason: str, details: str = "") -> None:
        """Mark the run failed, with one sentence and, if there is one, a traceback."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.clear_marker()
        self._set_status("failed", reason=_storable(reason), details=_storable(details))

    def _status(self) -> _Status:
        """Return what ``status.json`` says.

        Raises:
            CorruptRunError: it cannot be read, or belongs to another run.
        """
        path = self.path / _STATUS
        if not os.path.lexists(path):
            return _Status()
        with _blamed_on(path.name):
            content, is_sealed = read_sealed(path, self.path.name)
            phase = content["phase"]
            if not is_sealed and not set(content) <= _BEFORE[phase]:
                raise UnreadableFileError(path, "its seal is missing")
            return _Status(phase, content, is_sealed)

    def _set_status(self, phase: Phase, **more: Any) -> None:
        write_sealed(self.path / _STATUS, self.path.name, {"phase": phase, **more})

    def _write_facts(self, facts: Mapping[str, Any]) -> None:
        write_sealed(self.path / _FACTS, self.path.name, facts)

    def _write_curve(self) -> None:
        write_bytes(self.path / _CURVE, _curve(self._rows))

    def _has(self, name: str) -> bool:
        return os.path.lexists(self.path / name)

    def _names(self) -> set[str]:
        """Return the names of the run's files.

        Raises:
            CorruptRunError: something in the directory is no file, or it is no directory.
        """
        with _blamed_on("its directory"):
            if self.path.is_symlink():
                raise UnreadableFileError(self.path, "it is a symbolic link")
            with os.scandir(self.path) as entries:
                found = list(entries)
        for entry in found:
            if not entry.is_file(follow_symlinks=False):
                raise CorruptRunError(f"{entry.name} is no regular file")
        return {entry.name for entry in found}

    def _facts_name(self, status: _Status) -> str:
        return _FACTS_BEFORE if not status.sealed and self._has(_FACTS_BEFORE) else _FACTS

    def _named(self, status: _Status) -> list[str]:
        """Return the names of the files that a finished run consists of."""
        if status.sealed:
            return [*status.files, _STATUS]
        names = [self._facts_name(status), _CURVE, _LEDGER, _MEMORY, _STATUS]
        return [name for name in names if self._has(name)]

    def _content(self, name: str, status: _Status) -> bytes:
        """Return the bytes of a file; those of a finished run must have the noted digest."""
        path, noted = self.path / name, status.files.get(name)
        if noted is None:
            return read_bytes(path)
        content = read_bytes(path, most=noted.get("bytes", MOST_BYTES))
        if sha256_of(content) != noted["sha256"]:
            raise UnreadableFileError(path, "it is not the one that was finished")
        return content

    def _sealed_checkpoint(self, status: _Status) -> bytes | None:
        """Return the bytes of the checkpoint; None if there is none that holds its rows."""
        path = self.path / _CHECKPOINT
        if not status.sealed or not self._has(_CHECKPOINT):
            return None
        with _blamed_on(path.name):
            try:
                return read_sealed_bytes(path, self.path.name)
            except MissingFileError:  # the run has just been finished by another process
                return None

    def _drop_old_checkpoint(self) -> None:
        """Drop a checkpoint of an earlier version: it does not hold its rows."""
        if not self._status().sealed:
            self._drop_checkpoint()

    def _drop_checkpoint(self) -> None:
        (self.path / _CHECKPOINT).unlink(missing_ok=True)


@contextmanager
def _blamed_on(name: str) -> Iterator[None]:
    """Say of whatever goes wrong while a file is read that it is the file.

    Raises:
        CorruptRunError: something went wrong.
    """
    try:
        yield
    except UnreadableFileError as error:
        cause = error.cause
    except ValidationError as error:
        cause = ": ".join(filter(None, explained(error, Facts)))
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
    except Exception as error:  # files of earlier versions may hold anything
        cause = message_of(error)
    else:
        return
    raise CorruptRunError(f"{name}: {one_line(cause)[:_SHOWN]}")


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def _archive(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _ledger(charges: Sequence[tuple[int, int, str, int]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CHARGE)
    writer.writerows(charges)
    return text.getvalue().encode()


def _curve(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    metrics = {name for row in rows for name in row.metrics}
    writer = csv.DictWriter(text, Row.columns(metrics), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_record, rows))
    return text.getvalue().encode()


def _storable(text: str) -> str:
    """Return text that a status can hold: not too long, and without halves of surrogate pairs."""
    return text[-_LONGEST:].encode("utf-8", "backslashreplace").decode()


_INTEGERS = ("cycle", "labels", "labels_strict", "bytes_up", "bytes_down")
_TEXTS = ("labels_by_client", "labels_strict_by_client")


def _record(row: Row) -> dict[str, Any]:
    """Return a row as it is written; a metric without a value is an empty field."""
    values = {name: getattr(row, name) for name in Row.columns()}
    return values | {
        name: "" if math.isnan(value) else value for name, value in row.metrics.items()
    }


def _row(record: dict[str, str]) -> Row:
    values: dict[str, Any] = {}
    for name in Row.columns():
        text = record.pop(name)
        values[name] = text if name in _TEXTS else (int if name in _INTEGERS else float)(text)
    metrics = {name: float(text) if text else math.nan for name, text in record.items()}
    return Row(**values, metrics=metrics)
