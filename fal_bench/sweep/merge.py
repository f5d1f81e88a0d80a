"""Merging results folders: finished runs of several machines or people in one place."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fal_bench.errors import StoreError
from fal_bench.sweep.folder import RunFolder
from fal_bench.sweep.inventory import StoredRun, stored_runs
from fal_bench.sweep.store import Store

Keep = Literal["first", "last"]

TIMINGS = ("train_seconds", "select_seconds")
"""Columns of a curve that differ from run to run."""
_LEFT_BEHIND = ("checkpoint.npz", "in-plugin.json")


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Attributes:
        copied: number of runs that were written.
        equal: number of runs that were there already, with the same content.
        conflicts: number of runs with differing content, of which one was chosen.
        unfinished: number of runs left out because they are not finished.
        warnings: sentences on what makes the runs hard to compare, or could not be read.
    """

    copied: int
    equal: int
    conflicts: int
    unfinished: int
    warnings: tuple[str, ...]


def merge_stores(sources: Sequence[Store], out: Store, keep: Keep | None = None) -> Merged:
    """Copy the finished runs of several results folders into one.

    Runs that ``out`` holds already take part as if it were the first source. Two runs with one
    key are equal if their curves agree in all but the timings, and their ledgers agree.

    Args:
        sources: the folders, in the order that ``keep`` refers to.
        out: where to; it may hold runs already.
        keep: which of several differing runs to take; None refuses them.

    Raises:
        StoreError: runs conflict and ``keep`` is None (nothing has been written then), a source
            holds no run, or a folder cannot be read or written.
    """
    chosen: dict[str, StoredRun] = {}
    warnings: list[str] = []
    conflicts: set[str] = set()
    equal = unfinished = 0
    for place, store in enumerate([out, *sources]):
        runs, problems = stored_runs(store)
        if place and not runs and not problems:
            raise StoreError(f"There are no runs in {str(store.root)!r}; check the folder's name.")
        warnings += problems
        for run in runs:
            if run.phase != "done":
                unfinished += place > 0
            elif (other := chosen.setdefault(run.key, run)) is not run:
                if _same(other.folder, run.folder):
                    equal += 1
                    continue
                conflicts.add(run.key)
                if keep == "last":
                    chosen[run.key] = run
    if conflicts and keep is None:
        raise StoreError(_refusal(conflicts, chosen))
    fresh = [run for run in chosen.values() if run.folder.path.parent != out.root / "cells"]
    _copy(fresh, out)
    warnings += mixtures(list(chosen.values()))
    return Merged(len(fresh), equal, len(conflicts), unfinished, tuple(warnings))


def mixtures(runs: Sequence[StoredRun]) -> list[str]:
    """Say in which respects runs were not computed alike: device, processor, versions."""
    sentences = []
    names = sorted({name for run in runs for name in run.environment})
    for name in names:
        values = sorted({run.environment.get(name, "unknown") for run in runs})
        if len(values) > 1:
            sentences.append(f"Runs were computed with different {name}: {', '.join(values)}.")
    return sentences


def _same(one: RunFolder, other: RunFolder) -> bool:
    return _content(one) == _content(other)


def _content(folder: RunFolder) -> tuple[list[dict[str, str]], list[str]]:
    """Return a finished run's curve without timings, and its charges in any order."""
    try:
        with (folder.path / "curve.csv").open(encoding="utf-8", newline="") as file:
            rows = [
                {name: text for name, text in row.items() if name not in TIMINGS}
                for row in csv.DictReader(file)
            ]
        ledger = (folder.path / "ledger.csv").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StoreError(
            f"Cannot read {str(folder.path)!r} ({error}); delete it to run the run again."
        ) from None
    return rows, sorted(ledger.splitlines())


def _refusal(conflicts: set[str], chosen: dict[str, StoredRun]) -> str:
    first = chosen[min(conflicts)]
    count = len(conflicts)
    return (
        f"{count} run{' has' if count == 1 else 's have'} different results in different "
        f"folders, for example {first.key[:12]} ({first.label}, seed {first.seed}); nothing was "
        "merged, add --keep first or --keep last to choose."
    )


def _copy(runs: Sequence[StoredRun], out: Store) -> None:
    """Copy runs so that each is there as a whole or not at all."""
    out.prepare()
    with out.lock():
        try:
            for run in runs:
                _copy_run(run.folder.path, out.root / "cells" / run.key)
        except OSError as error:
            raise StoreError(
                f"Cannot copy runs to {str(out.root)!r} ({error.strerror or error}); the runs "
                "copied so far are complete, and the same command goes on."
            ) from None


def _copy_run(source: Path, target: Path) -> None:
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".merge-"))
    try:
        copy = temporary / "new"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns(*_LEFT_BEHIND, ".*"))
        if target.exists():
            target.rename(temporary / "old")
        copy.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
