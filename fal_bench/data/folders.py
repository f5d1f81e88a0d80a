"""Where data lie on this machine, which is no part of what a data set is.

The *data folder* holds data sets as they are published. The *cache folder* holds them prepared:
decoded, normalised, ready to be mapped into memory. A process that starts workers passes both on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from fal_bench.errors import DataError

DATA_VARIABLE = "FALBENCH_DATA"
CACHE_VARIABLE = "FALBENCH_CACHE"


@dataclass(frozen=True)
class Folders:
    """The two folders; absolute, and not necessarily there.

    Attributes:
        data: data sets as they are published; downloads go there.
        cache: prepared data sets; may be deleted whenever nothing runs.
        named: the option or variable that names the data folder, for messages; empty for the
            default folder.
    """

    data: Path
    cache: Path
    named: str = field(default="", compare=False)


_chosen: ContextVar[Folders | None] = ContextVar("folders", default=None)


def current_folders() -> Folders:
    """Return the folders in use.

    They are those of ``use_folders``, else of the environment variables ``FALBENCH_DATA`` and
    ``FALBENCH_CACHE``, else ``data`` and ``prepared`` in the user's cache folder for falbench.
    """
    return _chosen.get() or _environment()


@contextmanager
def use_folders(folders: Folders | None) -> Iterator[None]:
    """Use other folders while the context is open; None changes nothing."""
    if folders is None:
        yield
        return
    token = _chosen.set(folders)
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def use_data_folder(path: Path | None) -> Iterator[None]:
    """Use another data folder while the context is open; None changes nothing.

    Whether it exists is checked when data are read from it.
    """
    if path is None:
        yield
        return
    with use_folders(Folders(absolute(path), current_folders().cache, "--data-dir or data_dir")):
        yield


def data_folder() -> Path:
    """Return the data folder, to read the user's own data from it.

    Raises:
        DataError: the user names a folder that does not exist.
    """
    folders = current_folders()
    if folders.named and not folders.data.is_dir():
        wrong = "is no folder" if folders.data.exists() else "does not exist"
        raise DataError(
            f"The data folder {str(folders.data)!r}, which {folders.named} names, {wrong}; check "
            "the path."
        )
    return folders.data


def download_folder() -> Path:
    """Return the data folder, to look for published data in it or to download them to it.

    Raises:
        DataError: the user names a folder that does not exist and whose parent does not exist
            either: probably a typing error, so it is not made.
    """
    return current_folders().data if data_folder_is_new() else data_folder()


def data_folder_is_new() -> bool:
    """Whether the user names a data folder that does not exist yet and that a download may make.

    Data are then taken from no other place, since the user asked for that folder.
    """
    folders = current_folders()
    return bool(folders.named) and not folders.data.exists() and folders.data.parent.is_dir()


def absolute(path: Path) -> Path:
    """Return a path that means the same from any working directory; ``~`` is understood."""
    return Path(os.path.abspath(path.expanduser()))


def own_path(path: Path) -> Path:
    """Return where the user's own data lie.

    A relative path is one in the data folder, so that a task which names it means the same data on
    every machine and from any working directory.

    Raises:
        DataError: it is one in a data folder that the user names and that does not exist.
    """
    full = path.expanduser()
    return full if full.is_absolute() else data_folder() / full


def where_looked(path: Path) -> str:
    """Say where a path was looked for, for messages."""
    full = own_path(path)
    if path.expanduser().is_absolute():
        return repr(str(full))
    return (
        f"{str(full)!r} (a relative path is one in the data folder; name that with --data-dir or "
        "data_dir, or write an absolute path)"
    )


def _environment() -> Folders:
    home = user_cache_path("falbench", appauthor=False)
    data, cache = (
        absolute(Path(os.environ[variable])) if os.environ.get(variable) else home / default
        for variable, default in ((DATA_VARIABLE, "data"), (CACHE_VARIABLE, "prepared"))
    )
    return Folders(data, cache, DATA_VARIABLE if os.environ.get(DATA_VARIABLE) else "")
