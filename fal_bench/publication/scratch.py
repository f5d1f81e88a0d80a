"""A folder for results that nobody keeps."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fal_bench.results.store import Store

_PATIENCE = 5.0
"""Seconds that killed workers may take to write their last."""


@contextmanager
def scratch_store() -> Iterator[Store]:
    """Make a results folder that is gone when the context closes, however it closes."""
    root = Path(tempfile.mkdtemp(prefix="falbench-verify-"))
    try:
        store = Store(root)
        store.prepare()
        yield store
    finally:
        _remove(root)


def _remove(root: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while root.exists():
        # A worker that is being killed may put a file where one was just removed.
        shutil.rmtree(root, ignore_errors=time.monotonic() < deadline)
