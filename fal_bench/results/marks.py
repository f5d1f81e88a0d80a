"""What a running run leaves behind if its worker dies: which plugin was at work, and for how long.

Files: ``in-plugin.json`` while a plugin's code runs, ``trainer-clock`` at one of the runs that a
plugin's trainer trains together, ``over-memory.json`` if the worker was ended because it took too
much memory.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fal_bench.results.files import read_json, write_json

ENGINE_SECONDS: Final = 60.0
"""Seconds beyond the time limit that an engine may take between two calls of a trainer: for one
step of the largest network, and for what PyTorch imports when it is first used."""

_FORMAT: Final = "d"


class Clock:
    """Says since when the present call of a trainer has been running.

    A step calls a trainer's loss once, and a training has thousands of steps: writing a marker file
    at each would cost more than many a loss, so the time alone is written in place, in under a
    microsecond. It stays readable when this process hangs in native code, or is gone.

    Args:
        path: the file; it is there while ``running`` is open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep the file while the context is open; a death inside leaves it behind."""
        with self._path.open("wb", buffering=0) as file:
            self._descriptor = file.fileno()
            self._set(ENGINE_SECONDS)
            try:
                yield
            finally:
                self.remove()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Time one call of a trainer."""
        self._set(0.0)
        try:
            yield
        finally:
            self._set(ENGINE_SECONDS)

    def read(self) -> float | None:
        """Return since when the limit counts, as ``time.time()`` does; None without a clock."""
        try:
            [since] = struct.unpack(_FORMAT, self._path.read_bytes())
        except (OSError, struct.error):
            return None
        return float(since)

    def remove(self) -> None:
        """Remove what a killed run left."""
        self._path.unlink(missing_ok=True)

    def _set(self, more: float) -> None:
        os.pwrite(self._descriptor, struct.pack(_FORMAT, time.time() + more), 0)


class Marks:
    """The marks of one run.

    Args:
        path: its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marker = path / "in-plugin.json"
        self._over_memory = path / "over-memory.json"
        self._calls: list[dict[str, Any]] = []

    @property
    def clock(self) -> Clock:
        """The clock of a training that this run is the first of."""
        return Clock(self.path / "trainer-clock")

    def beat(self, cycle: int) -> None:  # noqa: ARG002
        """Say that the open call is getting on: its time limit starts again."""
        if self._calls:
            self._calls[-1]["since"] = time.time()
            write_json(self._marker, self._calls[-1])

    @contextmanager
    def plugin_call(self, cycle: int, trainer: str = "", clock: str = "") -> Iterator[None]:
        """Keep ``in-plugin.json`` while the context is open; a death inside leaves it behind.

        Args:
            cycle: the cycle.
            trainer: name of the trainer at work; empty if it is the strategy.
            clock: key of the run whose clock says since when; empty if the call begins now.
        """
        self._calls.append({"pid": os.getpid(), "cycle": cycle, "trainer": trainer, "clock": clock})
        self.beat(cycle)
        try:
            yield
        finally:
            self._calls.pop()
            if self._calls:
                write_json(self._marker, self._calls[-1])  # its own time goes on
            else:
                self._marker.unlink(missing_ok=True)

    def marker(self) -> dict[str, Any] | None:
        """Return which plugin call is open, if one is.

        Returns:
            ``pid``, ``cycle``, ``trainer`` (empty: the strategy is at work), ``since``, and
            ``hung`` if the worker was ended because the call took too long.
        """
        try:
            marker: dict[str, Any] = read_json(self._marker)
        except (OSError, ValueError):
            return None
        if marker.get("clock"):
            # No clock: the training has just ended.
            since = Marks(self.path.parent / marker["clock"]).clock.read()
            marker["since"] = time.time() if since is None else since
        return marker

    def note_hang(self, limit: float, now: float) -> int | None:
        """Say, if a plugin call has been open for longer than ``limit`` seconds, that it hangs.

        Args:
            limit: the time limit.
            now: the time of the look, one for all runs that are looked at: of runs that are
                trained together all hang or none does.

        Returns:
            The id of the process that hangs; None if none does.
        """
        marker = self.marker()
        if marker is None or now - marker["since"] <= limit:
            return None
        write_json(self._marker, {**marker, "hung": True})
        return int(marker["pid"])

    def clear_marker(self) -> None:
        """Forget a plugin call that a killed run left open, and why it was killed."""
        self._marker.unlink(missing_ok=True)
        self._over_memory.unlink(missing_ok=True)
        self.clock.remove()

    def note_memory(self, mib: int) -> None:
        """Say that the worker was ended because it took so much memory."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self._over_memory, {"mib": mib})

    def over_memory(self) -> int | None:
        """Return how many MiB the worker took when it was ended for that, or None."""
        try:
            return int(read_json(self._over_memory)["mib"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
