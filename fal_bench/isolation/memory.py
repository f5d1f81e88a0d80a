"""How much memory is free, how much a process takes, may take and keeps."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from fal_bench.errors import InvalidSpecError

MIB: Final = 2**20
SHARE: Final = 0.8
"""Part of the free memory that the workers may take together, if nothing is said."""
LEAST_MIB: Final = 1024
"""The smallest limit. A worker on a small task takes up to 680 MiB, whatever the strategy does."""

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""glibc's names of what ``mallopt`` sets."""
_OLD_LIMIT: Final = 32 * MIB
"""The largest piece that an older glibc can be made to keep."""


def keep_freed_memory(kept: int = 256 * MIB) -> None:
    """Let this process keep memory that it frees, for what it needs next; nothing without glibc.

    A training step frees and takes the same tens of megabytes over and over. By default glibc gives
    them back to the system every time, which then has to clear every page again: a fifth of the
    time of a convolutional network, and up to a third of that of a round of 1,000 clients.

    Args:
        kept: bytes at most that are not given back. Larger pieces always are.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, kept) or mallopt(_MMAP_THRESHOLD, min(kept, _OLD_LIMIT))
        mallopt(_TRIM_THRESHOLD, kept)


def free_bytes() -> int:
    """Return the free memory of this machine, or of the container that this process runs in."""
    free = int(psutil.virtual_memory().available)
    for folder, limit, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # not Linux, or no limit ("max")
            own = int(Path(folder, limit).read_text()) - int(Path(folder, used).read_text())
            free = min(free, max(own, 0))
    return free


def check_limit(limit: int | None) -> None:
    """Check that a worker that does nothing unusual stays below a limit.

    Args:
        limit: MiB; None for the default.

    Raises:
        InvalidSpecError: it is too small.
    """
    if limit is not None and limit < LEAST_MIB:
        raise InvalidSpecError(
            f"A memory limit of {limit} MiB is too small: PyTorch and a small task take more than "
            f"half of {LEAST_MIB}, whatever the strategy does; give at least {LEAST_MIB}."
        )


def default_limit(workers: int) -> int:
    """Return the memory that each of several workers may take, in MiB.

    It is 80 % of what is free when the run begins, divided by the workers, and never less than
    ``LEAST_MIB``.

    Args:
        workers: number of worker processes.
    """
    return max(int(SHARE * free_bytes() / workers / MIB), LEAST_MIB)


def resident_mib(pid: int) -> int | None:
    """Return the memory that a process takes, in MiB; None if it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss // MIB)
    except psutil.Error:
        return None
