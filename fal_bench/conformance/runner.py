"""Running the checks on one plugin."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from fal_bench.conformance.aggregation_checks import AggregationSubject
from fal_bench.conformance.dataset_checks import DatasetSubject
from fal_bench.conformance.metric_checks import MetricSubject
from fal_bench.conformance.model_checks import ModelSubject
from fal_bench.conformance.report import CheckInfo, Outcome, Report
from fal_bench.conformance.side_effects import restored
from fal_bench.conformance.strategy_checks import StrategySubject
from fal_bench.conformance.subject import Broken, Check, Failure, NotApplicable, Subject
from fal_bench.conformance.targets import named
from fal_bench.conformance.trainer_checks import TrainerSubject
from fal_bench.errors import InvalidSpecError, UnknownNameError
from fal_bench.inputs.arguments import as_names, check_seconds
from fal_bench.isolation.interrupts import signals_noticed
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.trainer import Trainer

CALL_TIMEOUT: Final = 60.0
"""Seconds that one call of a plugin may take."""

Notify = Callable[[CheckInfo | Outcome], None]
"""Called with each check that begins, and with each outcome."""


SUBJECTS: Final[tuple[type[Subject[Any]], ...]] = (
    StrategySubject,
    TrainerSubject,
    AggregationSubject,
    ModelSubject,
    DatasetSubject,
    MetricSubject,
)
"""What is checked, with its checks, in the order in which ``falbench check --list`` lists them."""


class ConformanceError(AssertionError):
    """A plugin does not satisfy what every one of its kind must.

    Args:
        report: what came out.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(f"\n{report.text}")
        self.report = report


def check(
    plugin: object, *, only: Sequence[str] | str = (), call_timeout: float = CALL_TIMEOUT
) -> Report:
    """Check that a plugin satisfies what every one of its kind must, for use in its tests.

    A strategy runs in the real harness on small made-up federations, a trainer gets made-up
    batches, and trainers, aggregations and models train in the real engines. All this happens in
    this process; a call that hangs is left behind in a thread. ``falbench check`` does the same in
    a process of its own.

    Args:
        plugin: a class or a decorated function, which is checked with its default parameters; an
            object or a ``functools.partial``, which is checked with its own; or the name of an
            installed plugin, with parameters as in ``"logo[n_init=4]"``.
        only: names of the checks to do; all if empty.
        call_timeout: seconds that one call may take.

    Returns:
        What came out, if everything that applies holds.

    Raises:
        ConformanceError: something does not hold; its text is the report.
        FalbenchError: there is no such check, or no such plugin.
    """
    if isinstance(plugin, str):
        [(_, _, plugin)], _ = named(plugin)
    return _passed(run_checks(plugin, only=only, call_timeout=call_timeout))


def check_strategy(
    strategy: type[Strategy] | Strategy,
    *,
    only: Sequence[str] | str = (),
    call_timeout: float = CALL_TIMEOUT,
) -> Report:
    """Do what ``check`` does, and refuse what is not a strategy."""
    return _passed(_run(StrategySubject, strategy, only, call_timeout))


def check_trainer(
    trainer: type[Trainer] | Trainer,
    *,
    only: Sequence[str] | str = (),
    call_timeout: float = CALL_TIMEOUT,
) -> Report:
    """Do what ``check`` does, and refuse what is not a trainer."""
    return _passed(_run(TrainerSubject, trainer, only, call_timeout))


def run_checks(
    plugin: object,
    *,
    only: Sequence[str] | str = (),
    call_timeout: float = CALL_TIMEOUT,
    notify: Notify = lambda _: None,
) -> Report:
    """Run the checks and return what came out; see ``check``.

    Args:
        plugin: as for ``check``, but for names.
        only: names of the checks to do; all if empty.
        call_timeout: seconds that one call may take.
        notify: is called on the way.
    """
    return _run(subject_of(plugin), plugin, only, call_timeout, notify)


def subject_of(plugin: object) -> type[Subject[Any]]:
    """Return the class of subjects that a plugin is one of, which knows its checks.

    Raises:
        InvalidSpecError: it is no plugin.
    """
    for subject in SUBJECTS:
        if subject.accepts(plugin):
            return subject
    name = getattr(plugin, "__name__", type(plugin).__name__)
    raise InvalidSpecError(
        f"{name} is not a plugin; derive a class from fal_bench.Strategy, fal_bench.Trainer or "
        "fal_bench.Aggregation, or decorate a function with fal_bench.model, fal_bench.dataset or "
        "fal_bench.metric."
    )


def chosen(checks: Sequence[Check], only: Sequence[str] | str) -> tuple[Check, ...]:
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


def _run(
    kind: type[Subject[Any]],
    plugin: object,
    only: Sequence[str] | str,
    call_timeout: float,
    notify: Notify = lambda _: None,
) -> Report:
    check_seconds("call_timeout", call_timeout)
    subject = kind(plugin, call_timeout)
    outcomes = []
    with signals_noticed(), restored(), warnings.catch_warnings():
        torch.set_num_threads(1)  # the bits of two runs are compared
        for one in chosen(kind.checks, only):
            notify(one.info)
            outcomes.append(_outcome(one, subject))
            notify(outcomes[-1])
    return Report(subject.name, tuple(outcomes))


def _passed(report: Report) -> Report:
    if not report.passed:
        raise ConformanceError(report)
    return report


def _outcome(check: Check, subject: Subject[Any]) -> Outcome:
    started, info = time.perf_counter(), check.info

    def seconds() -> float:
        return time.perf_counter() - started

    try:
        note = subject.verdict(check)
    except NotApplicable as reason:
        return Outcome(info.name, info.proves, "not applicable", seconds(), str(reason))
    except Failure as found:
        failure = found
    except Broken as broken:
        failure = broken.failure
        if broken.owner != check.name:
            return info.not_checked(f"because {broken.owner} failed: {failure.what}", seconds())
    else:
        return Outcome(info.name, info.proves, "ok", seconds(), note or "")
    return info.failed(seconds(), failure.what, failure.where, failure.advice)
