"""One run's directory: its description, curve, checkpoint, status and ledger.

What a result rests on is covered by a digest: ``run.json`` and ``status.json`` are sealed, the
status of a finished run holds the digests of all its other files, and the checkpoint of an
unfinished one is sealed and holds the rows of the curve up to it. Until a run is finished, its
``curve.csv`` is there to be looked at, and is never read back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

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
    sealed_json,
    sha256_of,
    unsealed,
    write_bytes,
    write_sealed,
    write_sealed_bytes,
)
from fal_bench.results.formats import (
    archive,
    columns_of,
    count_charges,
    curve_csv,
    curve_lines,
    ledger_csv,
    read_archive,
    read_curve,
)
from fal_bench.results.identity import description_key

Phase = Literal["new", "partial", "done", "failed"]

_FACTS, _FACTS_BEFORE, _STATUS = "run.json", "cell.json", "status.json"
_CURVE, _LEDGER, _MEMORY, _CHECKPOINT = "curve.csv", "ledger.csv", "memory.npz", "checkpoint.npz"

_BEFORE: Final[Mapping[str, set[str]]] = {
    "partial": {"phase", "run", "pid"},
    "done": {"phase", "curve", "ledger"},
    "failed": {"phase", "reason", "details"},
}
"""What ``status.json`` held before it was sealed: two digests at most, and none of itself."""

_APPENDING: Final = (
    os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
)

_LONGEST: Final = 100_000
"""Characters of a traceback that are kept."""

_SHOWN: Final = 200
"""Characters that are shown of what is wrong with a file."""


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
        unrecorded: why metrics could not be measured, by name.
        task_name: what its task was called when it began, which is no part of its identity; empty
            in runs of earlier versions.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    description: dict[str, Any]
    reference: StrictBool
    trainer_named: StrictBool | None = None
    label: str | None = None
    environment: dict[str, Any] = {}
    metrics: dict[str, StrictBool] = {}
    pool: int = Field(default=0, ge=0)
    unrecorded: dict[str, str] = {}
    task_name: str = Field(default="", pattern=r"^[A-Za-z0-9._+-]*$")


@dataclass(frozen=True)
class Outcome:
    """What a finished run says.

    Attributes:
        facts: what was known of it before it ended.
        curve: its curve.
        charges: how many labels were read, by cycle, purpose and client (``count_charges``).
        ledger: digest of the ledger, which does not depend on its order.
        ended: when it was finished; in earlier versions the time of ``status.json``.
        sealed: whether digests cover all of it; those of earlier versions cover parts.
    """

    facts: Facts
    curve: list[Row]
    charges: Mapping[tuple[int, str, int], int]
    ledger: str
    ended: datetime
    sealed: bool


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


class RunFolder:
    """The directory of one run, and the journal of its run.

    Files: ``run.json`` (description and environment), ``curve.csv`` (one row a cycle),
    ``checkpoint.npz`` (state before the next cycle, and the rows so far; gone when done),
    ``status.json``, ``ledger.csv`` (every charge; written when done) and ``memory.npz`` (what the
    strategy keeps, if anything).

    Args:
        path: the directory, named by the run's key; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[Row] = []
        self._known: dict[str, Any] = {}

    def create(self, facts: Mapping[str, Any], environment: dict[str, str]) -> None:
        """Make the directory and describe the run.

        Args:
            facts: what is known of the run: ``description``, ``reference``, ``trainer_named`` and
                ``metrics`` of ``Facts``.
            environment: versions and processor.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._drop_old_checkpoint()
        self._know({**facts, "environment": environment})
        self._set_status("partial")

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
        self._know({**self._facts_in_mind(), "pool": pool})

    def phase(self) -> Phase:
        """Return how far the run is, once all that it rests on has been checked.

        Raises:
            CorruptRunError: a file is damaged, missing, or of another run.
        """
        phase, _ = self.look()
        return phase

    def look(self) -> tuple[Phase, Outcome | None]:
        """Return how far the run is, as ``phase`` does, and what it says if it is finished.

        Raises:
            CorruptRunError: a file is damaged, missing, or of another run.
        """
        if not os.path.lexists(self.path):
            return "new", None
        names = self._names()
        status = self._status()
        if status.phase == "new":
            if left := names & {_CURVE, _LEDGER, _MEMORY, _CHECKPOINT}:
                raise CorruptRunError(f"{_STATUS} is missing beside {min(left)}")
            return "new", None
        if status.phase == "done":
            return "done", self._outcome(status)
        if status.phase != "failed" or self.is_described:
            self._facts(status)
        self._sealed_checkpoint(status)
        return status.phase, None

    @property
    def is_described(self) -> bool:
        """Whether there is a description; a run may fail before it is described."""
        return self._has(_FACTS) or self._has(_FACTS_BEFORE)

    def facts(self) -> Facts:
        """Return what is known of the run.

        Raises:
            CorruptRunError: it cannot be read, or belongs to another run.
        """
        return self._facts(self._status())

    def status(self) -> dict[str, Any]:
        """Return the content of ``status.json``.

        Raises:
            CorruptRunError: it is not there, cannot be read, or belongs to another run.
        """
        status = self._status()
        if status.phase == "new":
            raise CorruptRunError(f"{_STATUS} does not exist")
        return dict(status.content)

    def rows(self) -> list[Row]:
        """Return the curve; a last line that was cut short is left out.

        Raises:
            CorruptRunError: the curve is not one of this format.
        """
        return self._stored_rows(self._status())

    def kept(self) -> list[dict[str, Any]]:
        """Return what the strategy kept of each client's memory; empty if nothing.

        Raises:
            CorruptRunError: it cannot be read.
        """
        return self._kept(self._status())

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Return names and bytes of the files of a finished run, under the names of today.

        Raises:
            CorruptRunError: one of them is damaged.
        """
        status = self._status()
        for name in self._named(status):
            with _blamed_on(name):
                content = self._content(name, status)
            yield (_FACTS if name == _FACTS_BEFORE else name), content

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
                arrays = read_archive(content)
                self._rows = [Row(**values) for values in from_json_array(arrays.pop("rows"))]
                state = RunState.from_arrays(arrays)
        self._write_curve()
        return state

    def append(self, row: Row) -> None:
        """Add one row to the curve."""
        known = columns_of(self._rows)
        self._rows.append(row)
        if columns_of(self._rows) != known:
            self._write_curve()
            return
        try:
            # Neither created nor followed: whatever lies in its place now is written over.
            with open(os.open(self.path / _CURVE, _APPENDING), "ab") as file:
                file.write(curve_lines([row], known))
        except OSError:
            self._write_curve()

    def checkpoint(self, state: RunState) -> None:
        """Replace ``checkpoint.npz``."""
        rows = to_json_array([vars(row) for row in self._rows])
        content = archive({**state.to_arrays(), "rows": rows})
        write_sealed_bytes(self.path / _CHECKPOINT, self.path.name, content)

    def finish(
        self,
        charges: Sequence[tuple[int, int, str, int]],
        kept: Sequence[dict[str, Any]],
        unrecorded: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Write all files of the finished run, mark it done, and drop the checkpoint.

        They are written from memory: what lies in the directory may have been changed while the
        run was at work. The arguments are those of ``Journal.finish``.
        """
        facts = self._facts_in_mind()
        if unrecorded:
            reasons = {name: _storable(reason) for name, reason in unrecorded.items()}
            facts = {**facts, "unrecorded": reasons}
        contents = {
            _FACTS: sealed_json(_FACTS, self.path.name, facts),
            _CURVE: curve_csv(self._rows),
            _LEDGER: ledger_csv(charges),
        }
        if any(kept):
            arrays: dict[str, NDArray[Any]] = {}
            arrays["memories"] = to_json_array(split(list(kept), arrays))
            contents[_MEMORY] = archive(arrays)
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

    def _outcome(self, status: _Status) -> Outcome:
        facts, curve = self._facts(status), self._stored_rows(status)
        charges, ledger = self._charges(status)
        if _MEMORY in status.files:  # whose digest says enough; reading takes longer
            with _blamed_on(_MEMORY):
                self._content(_MEMORY, status)
        else:
            self._kept(status)
        noted = status.content.get("finished")
        if noted is not None:
            ended = datetime.fromisoformat(noted)
        else:
            ended = datetime.fromtimestamp((self.path / _STATUS).stat().st_mtime, UTC)
        return Outcome(facts, curve, charges, ledger, ended, status.sealed)

    def _facts(self, status: _Status) -> Facts:
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

    def _stored_rows(self, status: _Status) -> list[Row]:
        path = self.path / _CURVE
        if status.phase != "done" and not self._has(_CURVE):
            return []
        with _blamed_on(_CURVE):
            return read_curve(decoded(path, self._content(_CURVE, status)))

    def _charges(self, status: _Status) -> tuple[Mapping[tuple[int, str, int], int], str]:
        """Return the numbers of labels and the digest of ``Outcome``."""
        with _blamed_on(_LEDGER):
            text = decoded(self.path / _LEDGER, self._content(_LEDGER, status))
            ordered = "\n".join(sorted(text.splitlines()))
            return count_charges(text), sha256_of(ordered.encode())

    def _kept(self, status: _Status) -> list[dict[str, Any]]:
        if _MEMORY not in self._named(status):
            return []
        with _blamed_on(_MEMORY):
            found = read_archive(self._content(_MEMORY, status))
            memories: list[dict[str, Any]] = join(from_json_array(found["memories"]), found)
        return memories

    def _set_status(self, phase: Phase, **more: Any) -> None:
        write_sealed(self.path / _STATUS, self.path.name, {"phase": phase, **more})

    def _know(self, facts: dict[str, Any]) -> None:
        self._known = facts
        write_sealed(self.path / _FACTS, self.path.name, facts)

    def _facts_in_mind(self) -> dict[str, Any]:
        """Return the facts as this object wrote them; as they are stored if it did not."""
        return self._known or self.facts().model_dump(exclude_unset=True)

    def _write_curve(self) -> None:
        write_bytes(self.path / _CURVE, curve_csv(self._rows))

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


def _storable(text: str) -> str:
    """Return text that a status can hold: not too long, and without halves of surrogate pairs."""
    return text[-_LONGEST:].encode("utf-8", "backslashreplace").decode()
