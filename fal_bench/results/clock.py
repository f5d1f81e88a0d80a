"""A clock that runs while a trainer is at work, and that other processes can read."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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
