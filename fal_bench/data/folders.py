"""Where data lie on this machine; no part of what a data set is.

The *data folder* holds data sets as they are published, the *cache folder* holds them prepared:
decoded, normalised, ready to be mapped into memory. Whoever starts workers hands both on.
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
        named: what names the data folder, for messages; empty for the default one.
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

    Whether it is there is looked at when something is wanted of it.
    """
    if path is None:
        yield
        return
    with use_folders(Folders(absolute(path), current_folders().cache, "--data-dir or data_dir")):
        yield


def data_folder() -> Path:
    """Return the data folder, to read the user's own data from it.

    Raises:
        DataError: somebody names a folder that is not there.
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
    """Return the data folder, to look for published data in it or to download them.

    Raises:
        DataError: somebody names a folder that is not there and whose parent is not there either,
            which is hardly meant to be made.
    """
    return current_folders().data if is_to_be_made() else data_folder()


def is_to_be_made() -> bool:
    """Whether somebody names a data folder that a download may make.

    Data are then not taken from anywhere else: that folder was asked for.
    """
    folders = current_folders()
    return bool(folders.named) and not folders.data.exists() and folders.data.parent.is_dir()


def absolute(path: Path) -> Path:
    """Return a path that means the same from any working directory; ``~`` is understood."""
    return Path(os.path.abspath(path.expanduser()))


def _environment() -> Folders:
    home = user_cache_path("falbench", appauthor=False)
    data, cache = (
        absolute(Path(os.environ[variable])) if os.environ.get(variable) else home / default
        for variable, default in ((DATA_VARIABLE, "data"), (CACHE_VARIABLE, "prepared"))
    )
    return Folders(data, cache, DATA_VARIABLE if os.environ.get(DATA_VARIABLE) else "")
