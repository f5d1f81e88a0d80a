"""Paths of a user's own data."""

from __future__ import annotations

from pathlib import Path

from fal_bench.data.folders import data_folder


def own_path(path: Path) -> Path:
    """Return where a user's data lie.

    A relative path is one in the data folder: a task that names it means the same data on every
    machine, from any working directory.

    Raises:
        DataError: it is one in a folder that somebody names and that is not there.
    """
    full = path.expanduser()
    return full if full.is_absolute() else data_folder() / full


def where_looked(path: Path) -> str:
    """Say where a path was looked for, for messages."""
    full = own_path(path)
    if path.expanduser().is_absolute():
        return repr(str(full))
    return (
        f"{str(full)!r} (a relative path is one in the data folder; name that by data_dir, or "
        "write an absolute path)"
    )
