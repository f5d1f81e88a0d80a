"""Calls of plugins' code in this process: which one is open, since when, and what it leaves behind.

Code that may misbehave is always entered through ``Calls``. In a ``Child`` the process outside
learns of every call before it begins, so that it knows who was at work if this process dies, and
ends it if a call takes too long. A call that comes back in another process, because the code
forked, ends that process.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final

import psutil

from fal_bench.errors import PluginError
from fal_bench.isolation.surroundings import undisturbed

FORK_PATIENCE: Final = 2.0
"""Seconds that are waited for a forked copy to show itself, if it still lives."""


@dataclass(frozen=True)
class Call:
    """A call of a plugin's code.

    Attributes:
        who: the plugin in words, to begin a sentence with, such as ``Strategy 'mine'``.
        where: on what, such as ``cycle 3``; empty if there is nothing to say.
        runs: keys of the runs that it is made for; several if a trainer trains them together.
        steps: whether it consists of many short calls, each under the time limit, as a training
            with a plugin's trainer does.
        ours: whether the code is falbench's own, which leaves its surroundings alone and has no
            time limit.
        patience: seconds that it may take beyond the time limit, as for an import.
    """

    who: str
    where: str = ""
    runs: tuple[str, ...] = ()
    steps: bool = False
    ours: bool = False
    patience: float = 0.0


@dataclass
class Calls:
    """The open calls of this process.

    Attributes:
        enter: called with the call that is open from now on, or None; does nothing by default.
        since: when the innermost call began or last got on, in ``time.monotonic()``; None if a
            training is between two calls of its trainer.
    """

    enter: Callable[[Call | None], None] = lambda _: None
    since: float | None = None
    _open: list[Call] = field(default_factory=list)

    @contextmanager
    def open(self, call: Call) -> Iterator[None]:
        """Make a call inside the context.

        Raises:
            PluginError: the code forked this process, and the copy came back; or it changed a
                setting of the process.
        """
        process, forks = os.getpid(), _Forks.count
        before, self.since = self.since, None if call.steps else time.monotonic()
        self._open.append(call)
        self.enter(call)
        try:
            with nullcontext() if call.ours else undisturbed(call.who):
                yield
        finally:
            if os.getpid() != process:
                _Forks.leave()
            self._open.pop()
            self.since = before  # the time of the call around it goes on
            self.enter(self._open[-1] if self._open else None)
        if _Forks.count != forks and _Forks.came_back():
            raise PluginError(
                f"{call.who} forked the process and let the copy go on; start processes with "
                "subprocess or multiprocessing, or none."
            )

    @contextmanager
    def step(self) -> Iterator[None]:
        """Make one of many short calls, which only count for the time limit."""
        process, self.since = os.getpid(), time.monotonic()
        try:
            yield
        finally:
            if os.getpid() != process:
                _Forks.leave()
            self.since = None

    def beat(self) -> None:
        """Say that the open call is getting on: its time limit starts again."""
        if self.since is not None:
            self.since = time.monotonic()


NO_CALLS: Final = Calls()
"""For a process that has no other outside."""


class _Forks:
    """The forks of this process, which share one byte."""

    count = 0
    _shared = mmap.mmap(-1, 1)

    @classmethod
    def note(cls) -> None:
        cls.count += 1

    @classmethod
    def leave(cls) -> None:
        """End this process, a copy, and say that it came back."""
        cls._shared[0] = 1
        os._exit(0)

    @classmethod
    def came_back(cls) -> bool:
        """Whether a copy came back from the call that has just ended; wait for one that lives."""
        deadline = time.monotonic() + FORK_PATIENCE
        while not cls._shared[0] and time.monotonic() < deadline and _has_living_children():
            time.sleep(0.01)
        found, cls._shared[0] = bool(cls._shared[0]), 0
        return found


def _has_living_children() -> bool:
    children = psutil.Process().children()
    return any(child.status() != psutil.STATUS_ZOMBIE for child in children if child.is_running())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_Forks.note)
