"""Running the checks on one strategy or trainer."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import torch

from fal_bench.conformance.base import Broken, Check, Failure, NotApplicable
from fal_bench.conformance.checks import CHECKS
from fal_bench.conformance.report import Begun, Outcome, Report
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.surroundings import restored
from fal_bench.conformance.trainer_checks import TRAINER_CHECKS
from fal_bench.conformance.trainer_subject import TrainerSubject
from fal_bench.errors import UnknownNameError
from fal_bench.inputs.arguments import as_names, check_seconds
from fal_bench.isolation.interrupts import signals_noticed
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.trainer import Trainer

CALL_TIMEOUT: Final = 60.0
"""Seconds that one call of a plugin may take."""

Tell = Callable[[Begun | Outcome], None]
"""Told of each check that begins, and of each outcome."""


class ConformanceError(AssertionError):
    """A strategy or a trainer does not satisfy what every one must.

    Args:
        report: what came out.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(f"\n{report.text}")
        self.report = report


def check_strategy(
    strategy: type[Strategy] | Strategy,
    *,
    only: Sequence[str] | str = (),
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
    only: Sequence[str] | str = (),
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
    check_seconds("call_timeout", call_timeout)
    subject = Subject(strategy, call_timeout)
    tasks = [(one.begun, partial(subject.verdict, one)) for one in chosen(CHECKS, only)]
    return Report(subject.name, _outcomes(tasks, tell))


def check_trainer(
    trainer: type[Trainer] | Trainer,
    *,
    only: Sequence[str] | str = (),
    call_timeout: float = CALL_TIMEOUT,
) -> Report:
    """Check that a trainer satisfies what every trainer must, for use in its tests.

    Args:
        trainer: a class, which is checked with its default parameters, or an object, which is
            checked with its own.
        only: names of the checks to do; all if empty.
        call_timeout: seconds that one call may take.

    Returns:
        What came out, if everything that applies holds.

    Raises:
        ConformanceError: something does not hold; its text is the report.
        FalbenchError: there is no such check, or it is no trainer.
    """
    report = run_trainer_checks(trainer, only=only, call_timeout=call_timeout)
    if not report.passed:
        raise ConformanceError(report)
    return report


def run_trainer_checks(
    trainer: type[Trainer] | Trainer,
    *,
    only: Sequence[str] | str = (),
    call_timeout: float = CALL_TIMEOUT,
    tell: Tell = lambda _: None,
) -> Report:
    """Run the checks of a trainer and return what came out; see ``check_trainer``.

    Args:
        trainer: a class or an object.
        only: names of the checks to do; all if empty.
        call_timeout: seconds that one call may take.
        tell: told of the progress.
    """
    check_seconds("call_timeout", call_timeout)
    subject = TrainerSubject(trainer, call_timeout)
    tasks = [(one.begun, partial(one.run, subject)) for one in chosen(TRAINER_CHECKS, only)]
    return Report(subject.name, _outcomes(tasks, tell))


def chosen(checks: Sequence[Check[Any]], only: Sequence[str] | str) -> tuple[Check[Any], ...]:
    """Return the checks of the given names, or all, in the order in which they are reported.

    Raises:
        InvalidSpecError: a name is no text.
        UnknownNameError: there is no such check.
    """
    known = {check.name: None for check in checks}  # strategies and trainers share some names
    names = as_names("only", only) or ()
    for name in names:
        if name not in known:
            raise UnknownNameError("check", name, known)
    return tuple(check for check in checks if not names or check.name in names)


def _outcomes(
    tasks: Sequence[tuple[Begun, Callable[[], str | None]]], tell: Tell
) -> tuple[Outcome, ...]:
    outcomes = []
    with signals_noticed(), restored(), warnings.catch_warnings():
        torch.set_num_threads(1)  # the bits of two runs are compared
        for begun, verdict in tasks:
            tell(begun)
            outcomes.append(_outcome(begun, verdict))
            tell(outcomes[-1])
    return tuple(outcomes)


def _outcome(check: Begun, verdict: Callable[[], str | None]) -> Outcome:
    started = time.perf_counter()

    def seconds() -> float:
        return time.perf_counter() - started

    try:
        note = verdict()
    except NotApplicable as reason:
        return Outcome(check.name, check.proves, "not applicable", seconds(), str(reason))
    except Failure as failure:
        return _failed(check, failure, seconds())
    except Broken as broken:
        if broken.owner == check.name:
            return _failed(check, broken.failure, seconds())
        why = f"because {broken.owner} failed: {broken.failure.what}"
        return check.not_checked(why, seconds())
    return Outcome(check.name, check.proves, "ok", seconds(), note or "")


def _failed(check: Begun, failure: Failure, seconds: float) -> Outcome:
    return check.failed(seconds, failure.what, str(failure.where or ""), failure.advice)
