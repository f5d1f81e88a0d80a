"""How much memory there is, and how much of it a process takes."""

from __future__ import annotations

from typing import Final

import psutil

from fal_bench.errors import InvalidSpecError
from fal_bench.isolation.free_memory import free_bytes

MIB: Final = 2**20
SHARE: Final = 0.8
"""Part of the free memory that the workers may take together, if nothing is said."""
LEAST_MIB: Final = 1024
"""The smallest limit. A worker on a small task takes up to 680 MiB, whatever the strategy does."""


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
