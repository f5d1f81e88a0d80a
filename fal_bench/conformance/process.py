"""Checking plugins in a process of their own, which may hang, crash or leave.

Nothing heavy is imported here: the process that does the work imports PyTorch, and the one that
prints the report need not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from fal_bench.conformance.report import CheckInfo, Outcome, Report
from fal_bench.conformance.targets import Found, named
from fal_bench.errors import PluginError
from fal_bench.isolation.calls import Call
from fal_bench.isolation.child import Channel, Child, Ended, Limits
from fal_bench.isolation.interrupts import signals_noticed
from fal_bench.isolation.memory import default_limit
from fal_bench.plugins.tables import Unavailable
from fal_bench.plugins.trial import TIME_LIMIT


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


@dataclass
class _Progress:
    """How far the checks of one plugin are."""

    announced: Announced | None = None
    begun: CheckInfo | None = None
    since: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    plugins: int = 0
    left: int = 0

    def note(self, event: Event) -> None:
        if isinstance(event, Announced):
            self.announced, self.begun, self.outcomes = event, None, []
            self.plugins, self.left = self.plugins + 1, event.left
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


def check_apart(order: Order, notify: Callable[[Event], None]) -> None:
    """Check plugins in another process.

    A plugin whose process dies or has to be ended fails the check that it was at; the next one
    gets a new process, as it does after one that hangs.

    Args:
        order: what to check.
        notify: is called with all that happens there.

    Raises:
        FalbenchError: a name or a file cannot be used.
    """
    # The time limit itself is kept inside, as long as a plugin lets go of Python's interpreter.
    limits = Limits(order.call_timeout, default_limit(1))
    done, left = 0, 1
    while left:
        progress, child = _Progress(), Child()

        def note(event: Event, progress: _Progress = progress) -> None:
            progress.note(event)
            notify(event)

        try:
            child.run(_check_all, order, done, limits=limits, notify=note)
        except Ended as ending:
            why = _said(ending)
            if progress.announced is None:
                raise PluginError(f"{why} It was loading: {', '.join(order.targets)}.") from None
            for event in progress.give_up(why):
                notify(event)
        finally:
            child.end()
        done, left = done + progress.plugins, progress.left


def _said(ending: Ended) -> str:
    if ending.how == "hung":
        return "A call was not over in time and could not be interrupted; the process was ended."
    if ending.how == "too large":
        return f"The process was ended when it took {ending.what} of memory."
    return f"The process ended with {ending.what} in the middle of a call."


# In the other process.


def _check_all(channel: Channel, order: Order, skip: int) -> None:
    """Check plugins but the first ``skip``, until one hangs, and tell what happens."""
    from fal_bench.conformance.deadline import left_behind

    with signals_noticed():
        with channel.calls.open(Call("the import", patience=TIME_LIMIT)):
            jobs, unavailable = _loaded(order)
            from fal_bench.conformance.runner import run_checks
        for file in [] if skip else unavailable:
            channel.tell(file)
        for number, job in list(enumerate(jobs, start=1))[skip:]:
            channel.tell(Announced(job.label, job.source, job.checks, left=len(jobs) - number))
            only = [one.name for one in job.checks]
            with channel.calls.open(Call("a check", steps=True)):
                report = run_checks(
                    job.plugin, only=only, call_timeout=order.call_timeout, notify=channel.tell
                )
            channel.tell(Report(job.label, report.outcomes))
            if left_behind():
                return  # what still runs would be in the way of the next one


@dataclass(frozen=True)
class _Job:
    label: str
    source: str
    checks: tuple[CheckInfo, ...]
    plugin: Any


def _loaded(order: Order) -> tuple[list[_Job], list[Unavailable]]:
    """Import what is to be checked, and return it with the files that cannot be used."""
    from fal_bench.conformance.deadline import HangError, Pulse, within

    def load() -> list[tuple[list[Found], list[Unavailable]]]:
        return [named(target) for target in order.targets]

    try:
        loaded = within(order.call_timeout, Pulse(), load)
    except HangError as error:
        raise PluginError(
            f"{', '.join(order.targets)} cannot be loaded: {error}; fix what runs at import."
        ) from None
    # Late, so that a wrong name is reported without the import of PyTorch.
    from fal_bench.conformance.runner import SUBJECTS, chosen, subject_of

    chosen([one for subject in SUBJECTS for one in subject.checks], order.only)
    jobs = []
    for label, source, plugin in (one for found, _ in loaded for one in found):
        known = [one.info for one in subject_of(plugin).checks]
        checks = tuple(one for one in known if not order.only or one.name in order.only)
        if checks:
            jobs.append(_Job(label, source, checks, plugin))
    if not jobs:
        raise PluginError("No check that --only names is one of these plugins'; see --list.")
    return jobs, [one for _, files in loaded for one in files]
