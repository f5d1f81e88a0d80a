"""How much memory is free."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil


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
