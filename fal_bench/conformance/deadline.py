"""Running something that may never return."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

LOOKS_A_SECOND = 50

_NAME = "falbench-check"

SLACK = 60.0
"""Seconds of silence that are allowed beyond the limit where no plugin is at work: training, and
what PyTorch imports when it is first used."""


class HangError(Exception):
    """Nothing was heard of for too long.

    Args:
        seconds: how long.
        stack: where it is, the innermost frame last.
    """

    def __init__(self, seconds: float, stack: traceback.StackSummary) -> None:
        super().__init__(f"it did not return within {seconds:g} s")
        self.stack = stack


class AbandonedError(Exception):
    """A call goes on that has been given up."""


class Pulse:
    """When something was last heard of.

    Attributes:
        abandoned: whether it has been given up.
    """

    def __init__(self) -> None:
        self.abandoned = False
        self.beat()

    def beat(self, in_plugin: bool = True) -> None:
        """Say that there is progress.

        Args:
            in_plugin: whether a plugin is at work from now on.

        Raises:
            AbandonedError: it comes too late.
        """
        if self.abandoned:
            raise AbandonedError
        self._slack = 0.0 if in_plugin else SLACK
        self._last = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since the last beat, less what is allowed beyond the limit."""
        return time.monotonic() - self._last - self._slack


def within(limit: float, pulse: Pulse, function: Callable[[], Result]) -> Result:
    """Return ``function()``, run in a thread of its own that is left behind if it falls silent.

    Python cannot end a thread, so one that hangs lives until the process ends; ``falbench check``
    runs in a process of its own for that reason.

    Args:
        limit: longest silence, in seconds.
        pulse: beaten by the function whenever it gets on.
        function: what to run.

    Raises:
        HangError: the limit is over; whatever else ``function`` raises is passed on.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True, name=_NAME)
    thread.start()
    while thread.is_alive():
        thread.join(1 / LOOKS_A_SECOND)
        if thread.is_alive() and pulse.silence > limit:
            pulse.abandoned = True
            raise HangError(limit, _stack_of(thread))
    if errors:
        raise errors[0]
    return results[0]


def left_behind() -> bool:
    """Whether a call that was given up still runs."""
    return any(thread.name == _NAME for thread in threading.enumerate())


def _stack_of(thread: threading.Thread) -> traceback.StackSummary:
    frame = sys._current_frames().get(thread.ident or 0)
    return traceback.StackSummary() if frame is None else traceback.extract_stack(frame)
