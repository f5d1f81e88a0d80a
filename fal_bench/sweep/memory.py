"""How much memory there is, how much a process takes, and ending workers that take too much."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psutil

from fal_bench.errors import InvalidSpecError, StoreError
from fal_bench.isolation.free_memory import free_bytes

if TYPE_CHECKING:  # checks of plugins need the limits alone, and no NumPy
    from fal_bench.results.store import Store
    from fal_bench.sweep.spec import RunSpec

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


class MemoryGuard:
    """Ends the workers of this process that take more memory than they may.

    Args:
        store: the results folder.
        specs: the runs of a round.
        attempt: the round's name.
        limit: most memory a worker may take, in MiB.
    """

    def __init__(self, store: Store, specs: Sequence[RunSpec], attempt: str, limit: int) -> None:
        self._store = store
        self._waiting = list(specs)
        self._attempt = attempt
        self._limit = limit
        self._runs: dict[int, list[RunSpec]] = {}

    def find_workers(self) -> None:
        """Read which worker is at work on which runs."""
        self._runs = {}
        for spec in list(self._waiting):
            try:
                status = self._store.folder(spec).status()
            except StoreError:  # not begun yet
                continue
            if status["phase"] != "partial":
                self._waiting.remove(spec)
            elif status.get("run") == self._attempt and "pid" in status:
                self._runs.setdefault(int(status["pid"]), []).append(spec)

    def look(self) -> None:
        """End every worker that takes too much, and leave a note with its runs."""
        for pid in list(self._runs):
            taken = resident_mib(pid)
            if taken is None or taken <= self._limit or not _is_own(pid):
                continue
            with suppress(ProcessLookupError):  # it may have ended in the meantime
                os.kill(pid, signal.SIGKILL)
            self.find_workers()  # it may have gone on to other runs
            for spec in self._runs.pop(pid, []):
                self._store.folder(spec).note_memory(taken)


def _is_own(pid: int) -> bool:
    """Whether a process is a child of this one: ids of processes that are gone come again."""
    try:
        return int(psutil.Process(pid).ppid()) == os.getpid()
    except psutil.Error:
        return False
