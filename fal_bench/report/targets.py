"""Target accuracies: those that were asked for, and those derived from the baseline's curves."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.arguments import check_choice
from fal_bench.inputs.selector import Selector
from fal_bench.report.context import Accounting, ReportContext, TaskFacts
from fal_bench.task.target import Target, parse_targets

if TYPE_CHECKING:
    from fal_bench.report.budgets import GridRun, RunKey

BASELINE = "random"
"""The strategy that savings refer to unless another one is named."""

AUTO_SHARES = (0.25, 0.5, 0.75)
# Targets to a tenth of a percent: they are meant to be read, and written on a command line.
_DIGITS = 3


@dataclass(frozen=True)
class Question:
    """What is asked of the stored curves.

    Attributes:
        targets: the target accuracies, in the order asked for.
        accounting: which labels rank the board.
        baseline: the strategy that savings refer to.
    """

    targets: tuple[Target, ...]
    accounting: Accounting
    baseline: str = BASELINE

    @classmethod
    def make(
        cls,
        targets: float | str | Sequence[float | str],
        accounting: str,
        baseline: str | None,
        strategies: Sequence[str],
    ) -> Question:
        """Check what is asked for.

        Args:
            targets: accuracies or ``"auto"``; text may hold several, separated by commas.
            accounting: ``"strict"`` or ``"paper"``.
            baseline: a strategy's selector; the usual baseline, compared or not, if None.
            strategies: labels of the strategies compared.

        Raises:
            InvalidSpecError: something cannot be used.
        """
        one = isinstance(targets, str) or not isinstance(targets, Iterable)
        several: Sequence[object] = [targets] if one else list(cast("Iterable[object]", targets))
        parts = [part for each in several for part in str(each).split(",")]
        chosen = parse_targets(parts, "target_acc")
        check_choice("accounting", accounting, ("strict", "paper"))
        counted = cast("Accounting", accounting)
        if baseline is None:
            return cls(chosen, counted)
        label = baseline if baseline in strategies else str(Selector.parse(baseline))
        if label not in strategies:
            raise InvalidSpecError(
                f"The baseline {baseline!r} is not among the strategies compared "
                f"({', '.join(strategies)}); add it to them."
            )
        return cls(chosen, counted, label)

    def options(self) -> str:
        """Return the command-line options that ask this question."""
        words = ["--target-acc", ",".join(map(str, self.targets)), "--accounting", self.accounting]
        words += ["--baseline", self.baseline] if self.baseline != BASELINE else []
        return shlex.join(words)


def contexts_for(
    question: Question, runs: Mapping[RunKey, GridRun], context: ReportContext
) -> list[ReportContext]:
    """Return the context of each target; ``"auto"`` stands for up to three of them.

    An automatic target is, on every task, the accuracy that the median run of the baseline has at
    25, 50 or 75 % of the budget cap, interpolated between grid points (the run-length-based
    targets of COCO). One below the initial labels or equal to the one before is left out.

    Args:
        question: the targets asked for.
        runs: the finished runs.
        context: everything else about the question.

    Raises:
        InvalidSpecError: automatic targets are asked for, but the baseline has no finished run
            on some task, or none of them lies above the initial labels.
    """
    contexts: list[ReportContext] = []
    for target in question.targets:
        if target == "auto":
            contexts += _automatic(runs, context)
        else:
            contexts.append(replace(context, target=target))
    distinct = {(one.target, one.task_targets): one for one in contexts}
    return list(distinct.values())


def _automatic(runs: Mapping[RunKey, GridRun], context: ReportContext) -> list[ReportContext]:
    found = []
    for share in AUTO_SHARES:
        by_task = [
            (facts.name, _median_accuracy(facts, share, runs, context))
            for facts in sorted(context.tasks, key=lambda facts: facts.name)
        ]
        accuracies = [accuracy for _, accuracy in by_task]
        if not all(map(math.isfinite, accuracies)):
            continue  # so small a part of the cap is spent before the first query
        found.append(
            replace(
                context,
                target=round(float(np.mean(accuracies)), _DIGITS + 1),
                target_name=f"auto-{100 * share:.0f}",
                task_targets=tuple(by_task),
            )
        )
    if not found:
        raise InvalidSpecError(
            "The target auto finds no target: the initial labels of a task already take "
            f"{100 * max(AUTO_SHARES):.0f} % of its budget cap; name a target accuracy."
        )
    return found


def _median_accuracy(
    facts: TaskFacts, share: float, runs: Mapping[RunKey, GridRun], context: ReportContext
) -> float:
    """Return the baseline's median accuracy at a share of the cap; NaN below the first point."""
    mine: Sequence[GridRun] = [
        run
        for (task, strategy, _), run in runs.items()
        if (task, strategy) == (facts.name, context.baseline)
    ]
    if not mine:
        raise InvalidSpecError(
            f"The target auto needs finished runs of the baseline {context.baseline!r} on every "
            f"task, and there are none on {facts.name!r}; name a target accuracy instead."
        )
    points = [*facts.grid]
    median = np.median([run.accuracy[: len(points)] for run in mine], axis=0)
    return round(float(np.interp(share * facts.cap, points, median, left=math.nan)), _DIGITS)
