"""Results: one model, whatever they come from; the results folder that runs are written to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fal_bench.results.model import Results


def open_results(path: str | Path, *, suite: str | None = None) -> Results:
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
    from fal_bench.results.imported import read_file
    from fal_bench.results.published import is_published, read_published
    from fal_bench.results.store import Store
    from fal_bench.results.stored import read_store

    path = Path(path)
    if is_published(path):
        return read_published(path, suite=suite)
    if path.is_file():
        return read_file(path)
    return read_store(Store(path), suite=suite)
