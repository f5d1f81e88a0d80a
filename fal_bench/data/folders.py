"""Where data lie on this machine; no part of what a data set is.

The *data folder* holds data sets as they are published, the *cache folder* holds them prepared:
decoded, normalised, ready to be mapped into memory. Whoever starts workers hands both on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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
    """

    data: Path
    cache: Path


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

    Raises:
        DataError: there is no such folder.
    """
    if path is None:
        yield
        return
    folder = absolute(path)
    if not folder.is_dir():
        wrong = "is no folder" if folder.exists() else "does not exist"
        raise DataError(f"The data folder {str(folder)!r} {wrong}; check the path, or make it.")
    with use_folders(Folders(folder, current_folders().cache)):
        yield


def absolute(path: Path) -> Path:
    """Return a path that means the same from any working directory; ``~`` is understood."""
    return Path(os.path.abspath(path.expanduser()))


def _environment() -> Folders:
    home = user_cache_path("falbench", appauthor=False)
    data, cache = (
        absolute(Path(os.environ[variable])) if os.environ.get(variable) else home / default
        for variable, default in ((DATA_VARIABLE, "data"), (CACHE_VARIABLE, "prepared"))
    )
    return Folders(data, cache)
