"""Running the checks on one strategy."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Final

import torch

from fal_bench.conformance.base import Broken, Check, Failure, NotApplicable
from fal_bench.conformance.checks import CHECKS
from fal_bench.conformance.report import Begun, Outcome, Report
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.surroundings import restored
from fal_bench.errors import UnknownNameError
from fal_bench.strategy import Strategy

CALL_TIMEOUT: Final = 60.0
"""Seconds that one call of a plugin may take."""

Tell = Callable[[Begun | Outcome], None]
"""Told of each check that begins, and of each outcome."""


class ConformanceError(AssertionError):
    """A strategy does not satisfy what every strategy must.

    Args:
        report: what came out.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(f"\n{report.text}")
        self.report = report


def check_strategy(
    strategy: type[Strategy] | Strategy,
    *,
    only: Sequence[str] = (),
    call_timeout: float = CALL_TIMEOUT,
) -> Report:
    """Check that a strategy satisfies what every strategy must, for use in its tests.

    It runs the strategy in the real harness on small made-up federations, in this process; a call
    that hangs is left behind in a thread. ``falbench check`` does the same in a process of its
    own.

    Args:
        strategy: a class, which is checked with its default parameters, or an object, which is
            checked with its own.
        only: names of the checks to do; all if empty.
        call_timeout: seconds that one call may take.

    Returns:
        What came out, if everything that applies holds.

    Raises:
        ConformanceError: something does not hold; its text is the report.
        FalbenchError: there is no such check, or it is no strategy.
    """
    report = run_checks(strategy, only=only, call_timeout=call_timeout)
    if not report.passed:
        raise ConformanceError(report)
    return report


def run_checks(
    strategy: type[Strategy] | Strategy,
    *,
    only: Sequence[str] = (),
    call_timeout: float = CALL_TIMEOUT,
    tell: Tell = lambda _: None,
) -> Report:
    """Run the checks and return what came out; see ``check_strategy``.

    Args:
        strategy: a class or an object.
        only: names of the checks to do; all if empty.
        call_timeout: seconds that one call may take.
        tell: told of the progress.
    """
    subject = Subject(strategy, call_timeout)
    outcomes = []
    with restored(), warnings.catch_warnings():
        torch.set_num_threads(1)  # the bits of two runs are compared
        for check in chosen_checks(only):
            tell(check.begun)
            outcomes.append(_outcome(check, subject))
            tell(outcomes[-1])
    return Report(subject.name, tuple(outcomes))


def chosen_checks(only: Sequence[str]) -> tuple[Check, ...]:
    """Return the checks of the given names, or all, in the order in which they are reported.

    Raises:
        UnknownNameError: there is no such check.
    """
    known = [check.name for check in CHECKS]
    for name in only:
        if name not in known:
            raise UnknownNameError("check", name, known)
    return tuple(check for check in CHECKS if not only or check.name in only)


def _outcome(check: Check, subject: Subject) -> Outcome:
    started = time.perf_counter()

    def seconds() -> float:
        return time.perf_counter() - started

    try:
        note = subject.verdict(check)
    except NotApplicable as reason:
        return Outcome(check.name, check.proves, "not applicable", seconds(), str(reason))
    except Failure as failure:
        return _failed(check, failure, seconds())
    except Broken as broken:
        if broken.owner == check.name:
            return _failed(check, broken.failure, seconds())
        why = f"because {broken.owner} failed: {broken.failure.what}"
        return check.begun.not_checked(why, seconds())
    return Outcome(check.name, check.proves, "ok", seconds(), note or "")


def _failed(check: Check, failure: Failure, seconds: float) -> Outcome:
    return check.begun.failed(seconds, failure.what, str(failure.where or ""))
