"""The results folder: one directory a run, shared by all commands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fal_bench.errors import StoreError
from fal_bench.inputs.files import MissingFileError, UnreadableFileError
from fal_bench.results.files import read_sealed, write_sealed
from fal_bench.results.folder import CorruptRunError, Phase, RunFolder

PUBLISHED = "provenance.json"
"""What a folder of published results has, and no results folder."""

SCHEMA = 3
"""Version of the layout of a results folder.

3 seals what 2 did not: files of a run hold digests of themselves, and of each other. 2 says run
where 1 said cell: ``runs/<key>/run.json`` was ``cells/<key>/cell.json``.
"""

SESSIONS = "sessions.jsonl"

_KEY = re.compile(r"[0-9a-f]{64}")

_RUNS, _RUNS_BEFORE, _SESSIONS_BEFORE = "runs", "cells", "runs.jsonl"


class Keyed(Protocol):
    """What is stored under a key: a planned run."""

    @property
    def key(self) -> str:
        """The run's key."""


@dataclass(frozen=True)
class Corrupt:
    """A run whose files do not fit together.

    Attributes:
        path: its directory.
        reason: in what way.
    """

    path: Path
    reason: str


class Store:
    """A results folder.

    Args:
        root: the folder; it is made by ``prepare``.

    Raises:
        StoreError: the folder was written by a newer falbench, or is not a results folder.

    Attributes:
        root: the folder.
        problems: a sentence if the folder's own description is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._outer: Store | None = None
        self._schema_file = root / "store.json"
        self._check_folders()
        self.problems = self._check_schema()

    @property
    def runs(self) -> Path:
        """The folder that holds one directory a run; it need not exist yet."""
        old = self.root / _RUNS_BEFORE
        return old if old.is_dir() else self.root / _RUNS

    @property
    def sessions(self) -> Path:
        """The file with one line a session; it need not exist yet."""
        old = self.root / _SESSIONS_BEFORE
        return old if old.exists() else self.root / SESSIONS

    def folder(self, spec: Keyed) -> RunFolder:
        """Return the directory of a run; see ``within`` for where it is."""
        if self._outer is not None and self._outer.phase(spec) == "done":
            return self._outer.folder(spec)
        return RunFolder(self.runs / spec.key)

    def within(self, name: str) -> Store:
        """Return a results folder inside this one.

        Runs that are finished here are finished there, too. Nothing that is computed there shows
        here.

        Args:
            name: the folder's name.
        """
        inner = Store(self.root / name)
        inner._outer = self
        return inner

    def phase(self, spec: Keyed) -> Phase | Corrupt:
        """Return how far a run is, or in what way it is broken."""
        folder = self.folder(spec)
        try:
            return folder.phase()
        except CorruptRunError as error:
            return Corrupt(folder.path, str(error))

    def set_aside(self, corrupt: Corrupt) -> Path:
        """Move something broken out of the way and return where it is now.

        Raises:
            StoreError: it cannot be moved.
        """
        aside = self.root / "set-aside"
        number = 1
        while os.path.lexists(target := aside / f"{corrupt.path.name}-{number}"):
            number += 1
        try:
            aside.mkdir(exist_ok=True)
            return corrupt.path.rename(target)
        except OSError as error:
            raise StoreError(
                f"{str(corrupt.path)!r} is damaged ({corrupt.reason}) and cannot be moved to "
                f"{str(aside)!r} ({error.strerror}); remove it by hand."
            ) from None

    def prepare(self) -> None:
        """Make the folder and check that it can be written; one of an older layout is moved over.

        A damaged ``store.json`` is set aside.

        Raises:
            StoreError: it cannot, or it holds published results.
        """
        if self._outer is not None:
            self._outer.check_unpublished()
        self.check_unpublished()
        try:
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
            if (self.root / _RUNS_BEFORE).is_dir():
                self._move_over()
            (self.root / _RUNS).mkdir(exist_ok=True)
            for problem in self.problems:
                self.set_aside(Corrupt(self._schema_file, problem))
            self.problems = ()
            write_sealed(self._schema_file, "", {"schema": SCHEMA})
        except OSError as error:
            raise StoreError(
                f"Cannot write to the results folder {str(self.root)!r} ({error.strerror}); "
                "choose another."
            ) from None

    def check_unpublished(self) -> None:
        """Check that the folder may be written to.

        Raises:
            StoreError: it holds published results.
        """
        if (self.root / PUBLISHED).exists():
            raise StoreError(
                f"{str(self.root)!r} holds published results, which would be written over; choose "
                "another folder."
            )

    def _move_over(self) -> None:
        """Give a folder of schema 1 the names of today; after a kill it goes on from there."""
        old, sessions = self.root / _RUNS_BEFORE, self.root / _SESSIONS_BEFORE
        with self.lock():
            for path in self.directories():
                RunFolder(path).move_over()
            if sessions.exists():
                sessions.rename(self.root / SESSIONS)
            old.rename(self.root / _RUNS)

    @contextmanager
    def run_lock(self, spec: Keyed) -> Iterator[None]:
        """Hold a run while the context is open, as its worker does.

        It keeps a new worker from a run that a worker of a killed supervisor still writes to.

        Raises:
            StoreError: there are no locks here.
        """
        with self._held(f"{spec.key}.lock", timeout=-1):
            yield

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one run while the context is open; a kill releases it too.

        Raises:
            StoreError: another falbench is running runs in this folder.
        """
        with self._held("run.lock", timeout=0):
            yield

    @contextmanager
    def _held(self, name: str, timeout: float) -> Iterator[None]:
        """Hold a lock; wait for it so many seconds, or as long as it takes if negative."""
        lock = FileLock(self.root / "locks" / name)
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            raise StoreError(
                f"Another falbench is running in {str(self.root)!r}; wait for it, or choose "
                f"another folder; if none is running on any machine, delete {lock.lock_file!r}."
            ) from None
        except (OSError, NotImplementedError) as error:
            raise StoreError(
                f"The results folder {str(self.root)!r} cannot be locked "
                f"({getattr(error, 'strerror', None) or error}); choose one on a file system that "
                "has locks, such as a disc of this machine."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def directories(self) -> list[Path]:
        """Return everything in the folder that is named as a run is, sorted by its name.

        Raises:
            StoreError: the folder cannot be read.
        """
        try:
            names = os.listdir(self.runs)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(
                f"Cannot read {str(self.runs)!r} ({error.strerror}); correct that, or name another "
                "folder."
            ) from None
        return [self.runs / name for name in sorted(names) if _KEY.fullmatch(name)]

    def _check_folders(self) -> None:
        try:
            is_file = self.root.exists() and not self.root.is_dir()
        except (OSError, ValueError) as error:  # a folder above it is closed; a null character
            raise StoreError(
                f"The results folder {str(self.root)!r} cannot be read ({error}); choose another."
            ) from None
        if is_file:
            raise StoreError(f"The results folder {str(self.root)!r} is a file; choose a folder.")
        for path in (self.root / _RUNS, self.root / _RUNS_BEFORE):
            if path.is_symlink():
                raise StoreError(
                    f"{str(path)!r} is a symbolic link, and none is followed in a results folder; "
                    "put the folder that it leads to in its place."
                )

    def _check_schema(self) -> tuple[str, ...]:
        """Return a sentence if ``store.json`` cannot be read: nothing but its version is lost."""
        try:
            content, _ = read_sealed(self._schema_file, "")  # schemas 1 and 2 had no seal
            schema = _Schema.model_validate(content).schema_
        except MissingFileError:
            return ()
        except (UnreadableFileError, ValidationError) as error:
            cause = error.cause if isinstance(error, UnreadableFileError) else "it names no schema"
            where = str(self._schema_file)
            return (f"{where!r} cannot be read ({cause}); the next comparison writes it again.",)
        if schema > SCHEMA:
            raise StoreError(
                f"The results folder {str(self.root)!r} was written by a newer falbench (schema "
                f"{schema}, this one reads {SCHEMA}); upgrade falbench or choose another "
                "folder."
            )
        return ()


class _Schema(BaseModel):
    """What ``store.json`` holds."""

    model_config = ConfigDict(extra="forbid")

    schema_: int = Field(alias="schema", strict=True)
