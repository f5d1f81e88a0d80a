"""Results: one model, whatever they come from; the results folder that runs are written to."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fal_bench.results.model import Results


def open_results(path: str | Path, *, suite: str | Path | None = None) -> Results:
    """Open results: a results folder, a folder of published results, or a CSV file of curves.

    Args:
        path: the folder or file.
        suite: a suite's name or TOML file, whose tasks are taken whether they are there or not;
            by default the tasks that are there.

    Returns:
        All runs that are there, finished or not.

    Raises:
        FalbenchError: there is nothing of the kind, or something in it cannot be read.
    """
    from fal_bench.inputs.arguments import as_path, check_text
    from fal_bench.results.imported import read_file
    from fal_bench.results.published import read_published
    from fal_bench.results.record import is_published
    from fal_bench.results.store import Store
    from fal_bench.results.stored import read_store

    path, suite = as_path("path", path), str(suite) if isinstance(suite, Path) else suite
    check_text("suite", suite)
    if is_published(path):
        return read_published(path, suite=suite)
    if path.is_file():
        return read_file(path)
    return read_store(Store(path), suite=suite)


def chosen_results(
    path: str | Path,
    *,
    suite: str | Path | None = None,
    task: str | None = None,
    strategies: Sequence[str] | str | None = None,
    seeds: int | range | str | None = None,
    external: bool = True,
) -> Results:
    """Open results, and return the part of them that a report is asked for.

    Args:
        path: the folder or file.
        suite: a suite's name or TOML file, as for ``open_results``.
        task: one task only.
        strategies: selectors; all strategies if there are none.
        seeds: the first so many of the seeds, or a range of them, as in ``"100-109"``; all of
            them if None.
        external: whether imported curves are shown.

    Raises:
        FalbenchError: there is no finished run of that kind, or a name is unknown.
    """
    from dataclasses import replace

    from fal_bench.errors import StoreError
    from fal_bench.inputs.arguments import as_names, check_text

    check_text("task", task)
    names = as_names("strategies", strategies)
    results = open_results(path, suite=suite)
    if results.tasks.empty and results.provenance.problems:
        raise StoreError(results.provenance.problems[0])
    if results.tasks.empty:
        raise StoreError(
            f"There are only curves measured elsewhere in {str(path)!r}; import them into a "
            "results folder with falbench import."
        )
    results = results.narrow(tasks=task, strategies=names, seeds=seeds, external=external)
    if not (results.here["state"] == "done").any():
        raise StoreError(
            f"There is no finished run of suite {results.title!r} in {str(path)!r}; "
            "falbench status shows what there is."
        )
    words = ["falbench", "report", str(path)]
    words += ["--suite", str(suite)] if suite else []
    words += ["--task", task] if task else []
    for name in names or ():
        words += ["-s", name]
    if seeds:
        span = f"{seeds.start}-{seeds.stop - 1}" if isinstance(seeds, range) else str(seeds)
        words += ["--seeds", span]
    words += [] if external else ["--no-external"]
    return replace(results, provenance=replace(results.provenance, command=shlex.join(words)))
