"""Merging results folders: finished runs of several machines or people in one place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fal_bench.errors import StoreError
from fal_bench.inputs.arguments import as_path
from fal_bench.results.folder import CorruptRunError, RunFolder
from fal_bench.results.identity import records
from fal_bench.results.imported import ImportFolder
from fal_bench.results.model import Results, mixtures, refusal
from fal_bench.results.store import Store
from fal_bench.results.stored import NoRunsError, read_store

Keep = Literal["first", "last"]


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Attributes:
        copied: number of runs that were written.
        equal: number of runs that were there already, with the same content.
        conflicts: number of runs with differing content, of which one was chosen.
        unfinished: number of runs left out because they are not finished.
        warnings: sentences on what makes the runs hard to compare, or could not be read.
        notes: sentences on imported curves, which stay where they are.
    """

    copied: int
    equal: int
    conflicts: int
    unfinished: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


def merge(folders: Sequence[str | Path], out: str | Path, *, keep: Keep | None = None) -> Merged:
    """Copy the finished runs of several results folders into one.

    Args:
        folders: the folders, in the order that ``keep`` refers to.
        out: where to; it may hold runs already, which come first.
        keep: which of several differing runs to take, ``"first"`` or ``"last"``; None refuses them
            before anything is written.

    Raises:
        StoreError: runs conflict, a folder holds none, or one cannot be read or written.
    """
    sources = [Store(as_path("each of folders", folder)) for folder in folders]
    target = Store(as_path("out", out))
    try:
        whole, *_ = _finished(target)
        warnings = list(whole.provenance.problems)
    except NoRunsError:
        whole, warnings = None, []
    conflicts: set[str] = set()
    equal = unfinished = 0
    for store in sources:
        try:
            results, left_out = _finished(store)
        except NoRunsError:
            raise StoreError(
                f"There are no runs in {str(store.root)!r}; check the folder's name."
            ) from None
        warnings += results.provenance.problems
        unfinished += left_out
        if whole is None:
            whole = results
            continue
        differing = whole.conflicts(results)
        equal += len(set(whole.runs["key"]) & set(results.runs["key"])) - len(differing)
        conflicts |= set(differing)
        whole = whole.merge(results, keep or "first")
    if conflicts and whole is not None and keep is None:
        raise StoreError(refusal(conflicts, whole))
    assert whole is not None
    runs = {run["key"]: Path(run["path"]) for run in records(whole.runs)}
    fresh = {key: path for key, path in runs.items() if path.parent != target.runs}
    _copy(fresh, target)
    warnings += mixtures(list(whole.runs["environment"]))
    notes = [
        f"the external curves of {store.root} stay there."
        for store in sources
        if ImportFolder(store.root).names()
    ]
    return Merged(len(fresh), equal, len(conflicts), unfinished, tuple(warnings), tuple(notes))


def _finished(store: Store) -> tuple[Results, int]:
    """Return the finished runs of a folder, and how many others it holds."""
    results = read_store(store).narrow(external=False)
    done = results.runs["state"] == "done"
    return results.only(done), int((~done).sum())


def _copy(runs: Mapping[str, Path], out: Store) -> None:
    """Copy runs so that each is there as a whole or not at all."""
    out.prepare()
    with out.lock():
        try:
            for key, source in runs.items():
                _copy_run(source, out.runs / key)
        except CorruptRunError as error:
            raise StoreError(
                f"Run {key[:12]} in {str(source.parent)!r} has just been changed ({error}); merge "
                "once nothing writes to it."
            ) from None
        except OSError as error:
            raise StoreError(
                f"Cannot copy runs to {str(out.root)!r} ({error.strerror or error}); the runs "
                "copied so far are complete, and the same command goes on."
            ) from None


def _copy_run(source: Path, target: Path) -> None:
    """Copy the files that a finished run consists of, each checked, and nothing else."""
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".merge-"))
    try:
        copy = temporary / "new"
        copy.mkdir()
        for name, content in RunFolder(source).contents():
            (copy / name).write_bytes(content)
        _, outcome = RunFolder(source).look()
        if outcome is not None:  # earlier versions note nowhere else when it ended
            os.utime(copy / "status.json", (outcome.ended.timestamp(),) * 2)
        if os.path.lexists(target):
            target.rename(temporary / "old")
        copy.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
