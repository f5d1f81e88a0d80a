"""Checking plugins in a process of their own, which may hang, crash or leave.

Nothing heavy is imported here: the process that does the work imports PyTorch, and the one that
prints the report need not.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

from fal_bench.conformance.report import CheckInfo, Outcome, Report
from fal_bench.conformance.targets import Found, named
from fal_bench.errors import FalbenchError, PluginError
from fal_bench.isolation.interrupts import signals_noticed
from fal_bench.plugins.registry import Unavailable
from fal_bench.sweep.memory import default_limit, resident_mib

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess


GRACE: Final = 10.0
"""Seconds beyond the time limit after which a silent process is killed: the limit itself is kept
inside it, as long as the plugin lets go of Python's interpreter now and then."""
SECONDS_BETWEEN_BEATS: Final = 1.0
SECONDS_BETWEEN_LOOKS: Final = 0.2


@dataclass(frozen=True)
class Order:
    """What to check.

    Attributes:
        targets: names, with parameters as in ``"logo[n_init=4]"``, and plugin files or folders.
        only: names of the checks to do; all if empty.
        call_timeout: seconds that one call may take.
    """

    targets: tuple[str, ...]
    only: tuple[str, ...] = ()
    call_timeout: float = 60.0


@dataclass(frozen=True)
class Announced:
    """A plugin whose checks follow.

    Attributes:
        label: its name, with the parameters that were given.
        source: where it comes from.
        checks: the checks.
        left: number of plugins that come after it.
    """

    label: str
    source: str
    checks: tuple[CheckInfo, ...]
    left: int


_ADVICE_ON_DEATH: Final = (
    "Look for os._exit, for crashes of native code and calls into it that never come back, and for "
    "what fills the memory."
)


Event = Unavailable | Announced | CheckInfo | Outcome | Report
"""First the files of folders that have no plugin; then, for each plugin: announced, each
check and its outcome, the report."""


class Stopped(Exception):  # noqa: N818
    """The process ended before its work was done; the message says how."""


@dataclass
class _Progress:
    """How far the checks of one plugin are."""

    announced: Announced | None = None
    begun: CheckInfo | None = None
    since: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)

    def note(self, event: Event) -> None:
        if isinstance(event, Announced):
            self.announced, self.begun, self.outcomes = event, None, []
        elif isinstance(event, CheckInfo):
            self.begun, self.since = event, time.monotonic()
        elif isinstance(event, Outcome):
            self.outcomes.append(event)
        elif isinstance(event, Report):
            self.announced = None

    def give_up(self, why: str) -> Iterator[Event]:
        """Yield the outcomes that are missing, and the report."""
        assert self.announced is not None
        for check in self.announced.checks[len(self.outcomes) :]:
            if check == self.begun:
                seconds = time.monotonic() - self.since
                outcome = check.failed(seconds, why, advice=_ADVICE_ON_DEATH)
            else:
                outcome = check.not_checked(f"because the process is gone: {why}")
            self.outcomes.append(outcome)
            yield outcome
        yield Report(self.announced.label, tuple(self.outcomes))


def check_apart(order: Order) -> Iterator[Event]:
    """Check plugins in another process, and yield what happens there.

    A plugin whose process dies or has to be killed fails the check that it was at; the next one
    gets a new process, as it does after one that hangs.

    Raises:
        FalbenchError: a name or a file cannot be used.
    """
    done, left = 0, 1
    while left:
        progress = _Progress()
        try:
            for event in _events(order, skip=done):
                progress.note(event)
                if isinstance(event, Announced):
                    done, left = done + 1, event.left
                yield event
        except Stopped as stop:
            if progress.announced is None:
                raise PluginError(f"{stop} It was loading: {', '.join(order.targets)}.") from None
            yield from progress.give_up(str(stop))


def _events(order: Order, skip: int) -> Iterator[Event]:
    """Start a process, and yield what it sends.

    Raises:
        Stopped: it ended early, or was killed.
        FalbenchError: a name or a file cannot be used.
    """
    context = multiprocessing.get_context("spawn")  # not fork: PyTorch's threads do not survive it
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, order, skip))
    most_mib = default_limit(1)
    process.start()
    theirs.close()
    try:
        while True:
            message = _receive(ours, process, order.call_timeout, most_mib)
            if message is None:
                return
            if isinstance(message, FalbenchError):
                raise message
            yield message
    finally:
        process.kill()
        process.join()


def _receive(ours: Connection, process: SpawnProcess, limit: float, most_mib: int) -> Any:
    """Return the next message that is not just a sign of life."""
    heard = time.monotonic()
    while True:
        if not ours.poll(SECONDS_BETWEEN_LOOKS):
            _check_limits(process, time.monotonic() - heard, limit, most_mib)
            continue
        heard = time.monotonic()
        try:
            message = ours.recv()
        except EOFError:
            process.join()
            raise Stopped(f"The process ended with {_ending(process.exitcode)}.") from None
        if message is not _ALIVE:
            return message


_ALIVE: Final = ...


def _check_limits(process: SpawnProcess, silence: float, limit: float, most_mib: int) -> None:
    if silence > limit + GRACE:
        raise Stopped(
            f"A call was not over within {limit:g} s and could not be interrupted; the process was "
            "killed."
        )
    taken = resident_mib(process.pid or 0)
    if taken is not None and taken > most_mib:
        raise Stopped(f"The process was killed when it took {taken} MiB of memory.")


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}: it crashed or was killed"
    return f"exit code {code}: it left in the middle of a call"


# In the other process.


def _work(connection: Connection, order: Order, skip: int) -> None:
    """Check plugins but the first ``skip``, until one hangs, and send what happens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    os.dup2(2, 1)  # what plugins print is not part of the report
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # this process is killed in the end
    lock = threading.Lock()

    def send(message: Any) -> None:
        with lock, suppress(BrokenPipeError):
            connection.send(message)

    def live() -> None:
        while True:
            time.sleep(SECONDS_BETWEEN_BEATS)
            send(_ALIVE)

    threading.Thread(target=live, daemon=True).start()
    try:
        with signals_noticed():
            _check_all(order, skip, send)
    except FalbenchError as error:
        send(PluginError(str(error)))
    send(None)


def _check_all(order: Order, skip: int, send: Any) -> None:
    from fal_bench.conformance.deadline import HangError, Pulse, left_behind, within

    def load() -> list[tuple[list[Found], list[Unavailable]]]:
        return [named(target) for target in order.targets]

    try:
        loaded = within(order.call_timeout, Pulse(), load)
    except HangError as error:
        raise PluginError(
            f"{', '.join(order.targets)} cannot be loaded: {error}; fix what runs at import."
        ) from None
    # Late, so that a wrong name is reported without the import of PyTorch.
    from fal_bench.conformance.runner import SUBJECTS, chosen, run_checks, subject_of

    chosen([one for subject in SUBJECTS for one in subject.checks], order.only)
    jobs = []
    for label, source, plugin in (one for found, _ in loaded for one in found):
        known = [one.info for one in subject_of(plugin).checks]
        checks = tuple(one for one in known if not order.only or one.name in order.only)
        if checks:
            jobs.append((label, source, checks, plugin))
    if not jobs:
        raise PluginError("No check that --only names is one of these plugins'; see --list.")
    if not skip:
        for file in (one for _, files in loaded for one in files):
            send(file)
    for number, (label, source, checks, plugin) in list(enumerate(jobs, start=1))[skip:]:
        send(Announced(label, source, checks, left=len(jobs) - number))
        only = [one.name for one in checks]
        report = run_checks(plugin, only=only, call_timeout=order.call_timeout, notify=send)
        send(Report(label, report.outcomes))
        if left_behind():
            return  # what still runs would be in the way of the next one
