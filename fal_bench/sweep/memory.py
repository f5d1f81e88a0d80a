"""How much memory there is, and how much of it a process takes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

MIB: Final = 2**20
SHARE: Final = 0.8
"""Part of the free memory that the workers may take together, if nothing is said."""
LEAST_MIB: Final = 1024
"""Limit where the workers' shares would be smaller: PyTorch alone takes about a third of it."""


def default_limit(workers: int) -> int:
    """Return the memory that each of several workers may take, in MiB.

    It is 80 % of what is free when the run begins, divided by the workers, and never less than
    ``LEAST_MIB``.

    Args:
        workers: number of worker processes.
    """
    return max(int(SHARE * _free_bytes() / workers / MIB), LEAST_MIB)


def resident_mib(pid: int) -> int | None:
    """Return the memory that a process takes, in MiB; None if it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss // MIB)
    except psutil.Error:
        return None


def _free_bytes() -> int:
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
