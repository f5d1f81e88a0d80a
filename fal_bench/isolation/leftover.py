"""Threads that plugins leave running, for which Python would wait at the end of a process."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

PATIENCE: Final = 3.0
"""Seconds that threads have to end by themselves, as those of idle pools do in the end."""

_NOT_PLUGINS: Final = ("joblib",)  # ends with the workers, which end by themselves


def leave_despite_threads(
    code: int, tell: Callable[[Sequence[str]], None] | None = None, patience: float = PATIENCE
) -> None:
    """See to it that this process, which is about to end, does not wait for plugins' threads.

    Python waits for all threads that are no daemons. Whatever ends in time ends as it always does,
    with what is registered for the end of the process.

    Args:
        code: exit code of the process if threads are left.
        tell: is called with their names.
        patience: seconds that they have to end.
    """

    def wait() -> None:
        time.sleep(patience)
        if names := [thread.name for thread in threads_waited_for()]:
            if tell is not None:
                tell(names)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    threading.Thread(target=wait, daemon=True, name="falbench-leave").start()


def threads_waited_for() -> list[threading.Thread]:
    """Return the threads of others that keep this process alive, beside its main thread."""
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
        and not thread.daemon
        and type(thread).__module__.partition(".")[0] not in _NOT_PLUGINS
    ]
