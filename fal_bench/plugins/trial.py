"""Importing plugin files in a process of their own first, since an import may hang or end it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Thread, Timer
from typing import Final

from fal_bench.isolation.calls import Call
from fal_bench.isolation.child import Channel, Child, Ended, Limits
from fal_bench.isolation.memory import default_limit
from fal_bench.plugins.files import import_file, is_imported

TIME_LIMIT: Final = 60.0
"""Seconds that the import of one file may take."""

PATIENCE: Final = 5.0
"""Seconds after which a line says what is waited for."""


def faults_at_import(files: Sequence[Path], limit: float = TIME_LIMIT) -> dict[Path, str]:
    """Return the files whose import ends or hangs its process, or fills its memory, and how.

    Ordinary errors are no faults here: they do no harm to the process that imports next.

    Args:
        files: plugin files; those that are imported already are left out.
        limit: seconds that the import of one file may take.

    Raises:
        ChildError: no process can be started.
    """
    left = [file for file in files if not is_imported(file)]
    faults: dict[Path, str] = {}
    torch = Thread(target=_import_torch_meanwhile, args=(tuple(left),))
    torch.start()
    while left:
        begun: list[str] = []
        child = Child(silent=True)  # plugins print again when they are imported in earnest
        try:
            names = [str(file) for file in left]
            limits = Limits(limit, default_limit(1))
            with _said_if_long(begun):
                child.run(import_all, names, limits=limits, notify=begun.append)
            left = []
        except Ended as ending:
            if not begun:
                raise
            faults[left[len(begun) - 1]] = f"its import {ending.deed}"
            left = left[len(begun) :]
        finally:
            child.end()
    torch.join()
    return faults


@contextmanager
def _said_if_long(begun: Sequence[str]) -> Iterator[None]:
    """Tell the user what is waited for, if it takes long."""
    timer = Timer(PATIENCE, lambda: print(f"Importing {''.join(begun[-1:])} ...", file=sys.stderr))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _import_torch_meanwhile(files: Sequence[Path]) -> None:
    """Import PyTorch here too while the other process does, if a file seems to need it."""
    if any(b"import torch" in file.read_bytes() for file in files):
        with suppress(ImportError):
            import_module("torch")


def import_all(channel: Channel, files: Sequence[str]) -> None:
    """Import files one after the other, in the other process, and say of each that it begins."""
    for file in files:
        channel.tell(file)
        with suppress(BaseException), channel.calls.open(Call(file)):
            import_file(Path(file))
