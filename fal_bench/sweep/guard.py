"""Ending workers that take too much memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress

import psutil

from fal_bench.results.folder import CorruptRunError
from fal_bench.results.store import Store
from fal_bench.sweep.memory import resident_mib
from fal_bench.sweep.spec import RunSpec


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
            except CorruptRunError:  # not begun yet
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
