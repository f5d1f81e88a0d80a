"""Targets: those that were asked for, and those derived from the baseline's curves."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from fal_bench.errors import InvalidSpecError, UnknownNameError
from fal_bench.inputs.arguments import check_choice, check_text
from fal_bench.plugins.registry import current_registry
from fal_bench.reporting.context import Accounting, ReportContext, TaskFacts
from fal_bench.results.identity import label_of
from fal_bench.task.target import ACCURACY, Target, parse_targets

if TYPE_CHECKING:
    from fal_bench.reporting.budgets import GridRun, RunKey
    from fal_bench.results.model import Results

Asked = float | str | Sequence[float | str] | None
"""Targets as users give them."""

BASELINE = "random"
"""The strategy that savings refer to unless another one is named."""

AUTO_SHARES = (0.25, 0.5, 0.75)
# Targets to a tenth of a percent: they are meant to be read, and written on a command line.
_DIGITS = 3


@dataclass(frozen=True)
class Question:
    """What is asked of the stored curves.

    Attributes:
        targets: the targets, in the order asked for.
        accounting: which labels rank the board.
        baseline: the strategy that savings refer to.
    """

    targets: tuple[Target, ...]
    accounting: Accounting
    baseline: str = BASELINE

    @classmethod
    def make(
        cls,
        target_acc: Asked,
        target: Asked,
        accounting: str,
        baseline: str | None,
        results: Results,
    ) -> Question:
        """Check what is asked for.

        Args:
            target_acc: accuracies or ``"auto"``; text may hold several, separated by commas.
            target: targets of any metric, as ``"loss=0.8"`` or ``"loss=auto"``, likewise. If there
                is neither, the results' own.
            accounting: ``"strict"`` or ``"paper"``.
            baseline: a strategy's selector; the usual baseline, compared or not, if None.
            results: what is compared.

        Raises:
            InvalidSpecError: something cannot be used.
        """
        chosen = _parsed(target_acc, "target_acc", named=False)
        chosen += _parsed(target, "target", named=True)
        check_choice("accounting", accounting, ("strict", "paper"))
        label: str | None = BASELINE
        if baseline is not None:
            check_text("baseline", baseline)
            label = label_of(results.runs[results.runs["origin"] == ""], baseline)
        if label is None:
            raise InvalidSpecError(
                f"The baseline {baseline!r} is not among the strategies compared "
                f"({', '.join(results.strategies)}); add it to them."
            )
        for one in chosen:
            _refuse_beyond_a_share(one)
        return cls(chosen or results.targets, cast("Accounting", accounting), label)

    def check_metrics(self, known: Collection[str]) -> None:
        """Check that the metrics are recorded, or will be.

        Args:
            known: all that are.

        Raises:
            UnknownNameError: one is neither.
        """
        for one in self.targets:
            if one.metric not in known:
                raise UnknownNameError("metric", one.metric, known)

    def options(self) -> str:
        """Return the command-line options that ask this question."""
        accuracies = [str(one) for one in self.targets if one.metric == ACCURACY]
        words = ["--target-acc", ",".join(accuracies)] if accuracies else []
        for one in self.targets:
            words += [] if one.metric == ACCURACY else ["--target", str(one)]
        words += ["--accounting", self.accounting]
        words += ["--baseline", self.baseline] if self.baseline != BASELINE else []
        return shlex.join(words)


def _parsed(given: Asked, where: str, *, named: bool) -> tuple[Target, ...]:
    if given is None:
        return ()
    one = isinstance(given, str) or not isinstance(given, Iterable)
    several: Sequence[object] = [given] if one else list(cast("Iterable[object]", given))
    parts = [part for each in several for part in str(each).split(",")]
    return parse_targets(parts, where, named=named)


def _refuse_beyond_a_share(target: Target) -> None:
    metrics = current_registry().metrics
    known = target.metric in metrics.names() and metrics.load(target.metric).share
    if known and target.value is not None and not 0 <= target.value <= 1:
        raise InvalidSpecError(
            f"target: {target.metric} lies between 0 and 1, and cannot reach {target.value:g}; "
            "write 0.5 for 50 %."
        )


def contexts_for(
    target: Target, runs: Mapping[RunKey, GridRun], context: ReportContext
) -> list[ReportContext]:
    """Return the context of a target; an automatic one stands for up to three.

    An automatic target is, on every task, what the median run of the baseline has at 25, 50 or
    75 % of the budget cap, interpolated between grid points (the run-length-based targets of COCO).
    One below the initial labels or equal to the one before is left out.

    Args:
        target: the target.
        runs: the finished runs, read for its metric.
        context: everything else about the question, with its metric.

    Raises:
        InvalidSpecError: automatic targets are asked for, but the baseline has no finished run
            on some task, or none of them lies above the initial labels.
    """
    if target.value is None:
        return _automatic(runs, context)
    return [replace(context, target=target.value)]


def _automatic(runs: Mapping[RunKey, GridRun], context: ReportContext) -> list[ReportContext]:
    found = []
    for share in AUTO_SHARES:
        by_task = [(facts.name, _median(facts, share, runs, context)) for facts in context.tasks]
        values = [value for _, value in by_task]
        if not all(map(math.isfinite, values)):
            continue  # so small a part of the cap is spent before the first query
        found.append(
            replace(
                context,
                target=round(float(np.mean(values)), _DIGITS + 1),
                target_name=f"auto-{100 * share:.0f}",
                task_targets=tuple(by_task),
            )
        )
    if not found:
        raise InvalidSpecError(
            "The target auto finds no target: the initial labels of a task already take "
            f"{100 * max(AUTO_SHARES):.0f} % of its budget cap; name a target."
        )
    return found


def _median(
    facts: TaskFacts, share: float, runs: Mapping[RunKey, GridRun], context: ReportContext
) -> float:
    """Return the baseline's median at a share of the cap; NaN below the first point."""
    mine = [run for key, run in runs.items() if key[:2] == (facts.name, context.baseline)]
    if not mine:
        raise InvalidSpecError(
            f"The target auto needs finished runs of the baseline {context.baseline!r} on every "
            f"task, and there are none on {facts.name!r}; name a target instead."
        )
    median = np.median([run.accuracy[:-1] for run in mine], axis=0)
    return round(float(np.interp(share * facts.cap, facts.grid, median, left=math.nan)), _DIGITS)
