"""Importing plugin files in another process first, since an import may hang, crash or leave.

The other process is a new interpreter and not a fork: threads of this one, PyTorch's among them,
do not survive a fork. It costs a quarter of a second, and what the plugins import.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Final

from fal_bench.plugins.files import import_file, is_imported

TIME_LIMIT: Final = 60.0
"""Seconds that the import of one file may take."""

PATIENCE: Final = 5.0
"""Seconds after which the user is told what is waited for."""

_SECONDS_BETWEEN_LOOKS: Final = 0.05

_CHILD: Final = (
    "import json, sys; order = json.load(sys.stdin); sys.path[:] = order['path']; "
    "from fal_bench.plugins.trial import try_all; try_all(order['files'], order['limit'])"
)


def faults_at_import(files: Sequence[Path], limit: float = TIME_LIMIT) -> dict[Path, str]:
    """Return the files whose import ends or hangs its process, and how.

    Ordinary errors are no faults here: they do no harm to the process that imports next.

    Args:
        files: plugin files; those that are imported already are left out.
        limit: seconds that the import of one file may take.
    """
    left = [file for file in files if not is_imported(file)]
    faults: dict[Path, str] = {}
    while left and sys.executable:
        survived, fault = _first_fault(left, limit)
        if fault is None:
            break
        faults[left[survived]] = fault
        left = left[survived + 1 :]
    return faults


def _first_fault(files: Sequence[Path], limit: float) -> tuple[int, str | None]:
    """Import files in one process; return how many it survived, and what the next one did."""
    order = {"path": sys.path, "files": [str(file) for file in files], "limit": limit}
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    signs: queue.Queue[bytes] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process.stdout, signs), daemon=True)
    reader.start()
    try:
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(order).encode())
        _import_meanwhile(files)
        return _follow(process, reader, signs, files, limit)
    finally:
        process.kill()
        process.wait()
        reader.join(1.0)


def _follow(
    process: subprocess.Popen[bytes],
    reader: threading.Thread,
    signs: queue.Queue[bytes],
    files: Sequence[Path],
    limit: float,
) -> tuple[int, str | None]:
    survived, since, told = -1, time.monotonic(), False  # the first sign is that it is ready
    while survived < len(files):
        ended = process.poll() is not None
        if ended:
            reader.join(1.0)  # what was sent before the end
        try:
            signs.get(timeout=_SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            silence = time.monotonic() - since
            if survived < 0:
                if ended or silence > limit:
                    return 0, None  # no process to try anything in
            elif ended:
                return survived, _end_of(process.returncode)
            elif silence > limit:
                return survived, f"its import was not over within {limit:g} s"
            elif silence > PATIENCE and not told:
                print(f"Importing {files[survived]} ...", file=sys.stderr, flush=True)
                told = True
        else:
            survived, since, told = survived + 1, time.monotonic(), False
    return survived, None


def _read(pipe: IO[bytes], signs: queue.Queue[bytes]) -> None:
    with pipe:
        while sign := pipe.read(1):
            signs.put(sign)


def _import_meanwhile(files: Sequence[Path]) -> None:
    """Import PyTorch here too while the other process does, if a file seems to need it."""
    if any(b"import torch" in file.read_bytes() for file in files):
        with suppress(ImportError):
            import_module("torch")


def _end_of(code: int) -> str:
    if code < 0:
        return f"its import crashed with signal {signal.Signals(-code).name}"
    return f"its import ended the process with exit code {code}"


# In the other process.


def try_all(files: Sequence[str], limit: float) -> None:
    """Import files one after the other; send a byte at the start and after each of them."""
    signs = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)  # plugins print again when they are imported in earnest
    # Nobody may be left to end this process.
    faulthandler.dump_traceback_later((len(files) + 1) * limit, exit=True, file=null)
    os.write(signs, b".")
    for file in files:
        with suppress(BaseException):
            import_file(Path(file))
        os.write(signs, b".")
    os._exit(0)
