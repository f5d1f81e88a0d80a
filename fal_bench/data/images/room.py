"""Whether images fit on this machine, asked before they are decoded."""

from __future__ import annotations

import shutil
from math import prod
from pathlib import Path

from fal_bench.data.folders import CACHE_VARIABLE, current_folders
from fal_bench.errors import InvalidSpecError
from fal_bench.isolation.free_memory import free_bytes

_PIXEL, _FEATURE = 1, 4
"""Bytes of a value, decoded and ready to use; on disk both are there for a while."""
_GB = 1e9


def check_room(name: str, count: int, shape: tuple[int, ...]) -> None:
    """Check that images can be kept in the cache folder and used from memory.

    Args:
        name: the data set's name.
        count: number of images.
        shape: height, width and channels of each.

    Raises:
        InvalidSpecError: they take more than is free.
    """
    values = count * prod(shape)
    folder = current_folders().cache
    on_disk = f"on the disk of the cache folder {str(folder)!r}"
    other_disk = f", or name another cache folder by {CACHE_VARIABLE}"
    for what, size, free, more in (
        (on_disk, _PIXEL + _FEATURE, _free_disk(folder), other_disk),
        ("in memory", _FEATURE, free_bytes(), ""),
    ):
        if values * size > free:
            height, width, _ = shape
            raise InvalidSpecError(
                f"Data set {name!r}: {count} images of {width}x{height} take "
                f"{values * size / _GB:.1f} GB, but {free / _GB:.1f} GB are free {what}; choose a "
                f"smaller size, or fewer images by train and test{more}."
            )


def _free_disk(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free
