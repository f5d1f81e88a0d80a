"""Targets: those that were asked for, and those derived from the baseline's curves."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast, get_args

import numpy as np

from fal_bench.errors import InvalidSpecError, UnknownNameError
from fal_bench.inputs.arguments import check_choice, check_text
from fal_bench.plugins.registry import current_registry
from fal_bench.reporting.context import Accounting, ReportContext, Rung
from fal_bench.results.identity import label_of
from fal_bench.task.target import ACCURACY, AUTO, Target, parse_targets

if TYPE_CHECKING:
    from fal_bench.plugins.tables import MetricTable
    from fal_bench.reporting.budgets import Reading, RunKey
    from fal_bench.results.model import Results

Asked = float | str | Sequence[float | str] | None
"""Targets as users give them."""

BASELINE = "random"
"""The strategy that savings refer to unless another one is named."""

AUTO_STEPS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The ladder, as parts of the baseline's rise from its initial labels to the budget cap."""
_MIDDLE = 3
# Targets to a tenth of a percent: they are meant to be read, and written on a command line.
_DECIMALS = 3


@dataclass(frozen=True)
class Question:
    """What is asked of the stored curves.

    Attributes:
        targets: the targets, in the order asked for.
        accounting: what ranks the board.
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
            target: likewise, and targets of any metric, as ``"loss=0.8"`` or ``"loss=auto"``. If
                there is neither, the results' own.
            accounting: ``"strict"``, ``"paper"`` or ``"cost"``.
            baseline: a strategy's selector; the usual baseline, compared or not, if None.
            results: what is compared.

        Raises:
            InvalidSpecError: something cannot be used.
        """
        chosen = _parsed(target_acc, "target_acc", named=False)
        chosen += _parsed(target, "target", named=None)
        check_choice("accounting", accounting, get_args(Accounting))
        label: str | None = BASELINE
        if baseline is not None:
            check_text("baseline", baseline)
            label = label_of(results.runs[results.runs["origin"] == ""], baseline)
        if label is None:
            raise InvalidSpecError(
                f"The baseline {baseline!r} is not among the strategies compared "
                f"({', '.join(results.strategies)}); add it to them."
            )
        targets = chosen or results.targets
        for one in targets:
            _refuse_beyond_a_share(one)
        return cls(targets, cast("Accounting", accounting), label)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the targets, each once."""
        return tuple(dict.fromkeys(one.metric for one in self.targets))

    def check_metrics(self, recorded: Collection[str], table: MetricTable) -> None:
        """Check that the metrics are recorded, or will be.

        Args:
            recorded: those that are.
            table: those that new runs can record.

        Raises:
            UnknownNameError: there is no such metric.
            PluginError: one cannot be imported.
        """
        for name in self.metrics:
            if name not in recorded:
                if name not in table:
                    raise UnknownNameError("metric", name, {*recorded, *table.names()})
                table.load(name)

    def options(self) -> str:
        """Return the command-line options that ask this question."""
        accuracies = [str(one) for one in self.targets if one.metric == ACCURACY]
        words = ["--target-acc", ",".join(accuracies)] if accuracies else []
        for one in self.targets:
            words += [] if one.metric == ACCURACY else ["--target", str(one)]
        words += ["--accounting", self.accounting]
        words += ["--baseline", self.baseline] if self.baseline != BASELINE else []
        return shlex.join(words)


def _parsed(given: Asked, where: str, *, named: bool | None) -> tuple[Target, ...]:
    if given is None:
        return ()
    one = isinstance(given, str) or not isinstance(given, Iterable)
    several: Sequence[object] = [given] if one else list(cast("Iterable[object]", given))
    parts = [part for each in several for part in str(each).split(",")]
    return parse_targets(parts, where, named=named)


def _refuse_beyond_a_share(target: Target) -> None:
    metric = current_registry().metrics.known(target.metric)
    share = metric is not None and metric.share
    if share and target.value is not None and not 0 <= target.value <= 1:
        raise InvalidSpecError(
            f"target: {target.metric} lies between 0 and 1, and cannot reach {target.value:g}; "
            f"write {target.metric}=0.5 for 50 %."
        )


def contexts_for(
    targets: Sequence[Target], runs: Mapping[RunKey, Reading], context: ReportContext
) -> list[ReportContext]:
    """Return the context of each target of one metric.

    An automatic target is a ladder: on every task, steps of the baseline's rise from its mean at
    the initial labels to its mean at the budget cap. A target that was asked for is answered
    for itself, and beside it over a ladder: all targets that were asked for, or the automatic one.

    Args:
        targets: the targets, of one metric.
        runs: the finished runs, read for it.
        context: everything else about the question, with its metric.
    """
    asked = tuple(Rung(one.value) for one in targets if one.value is not None)
    ladder = automatic_ladder(runs, context)
    middle = ladder[_MIDDLE]
    wider = asked if len(asked) > 1 else ladder
    automatic = replace(
        context,
        target=middle.value,
        target_name=AUTO,
        task_targets=middle.by_task,
        ladder=ladder,
    )
    return [
        automatic if one.value is None else replace(context, target=one.value, wider=wider)
        for one in targets
    ]


def automatic_ladder(runs: Mapping[RunKey, Reading], context: ReportContext) -> tuple[Rung, ...]:
    """Return steps of the baseline's rise on every task with a finished run.

    Where the baseline has none, all runs of the task stand in for it.

    Args:
        runs: the finished runs, read for the context's metric.
        context: tasks and baseline.
    """
    ends = {}
    for task in context.task_names:
        # An imported curve that lies beyond every look has no models.
        finished = [
            (key[1], run) for key, run in runs.items() if key[0] == task and run.values.size
        ]
        own = [run for strategy, run in finished if strategy == context.baseline]
        if finished:
            ends[task] = _rise(own or [run for _, run in finished])
    rungs = []
    for step in AUTO_STEPS:
        by_task = tuple(
            (task, rounded(start + step * (end - start), abs(end - start)))
            for task, (start, end) in ends.items()
        )
        mean = float(np.mean([value for _, value in by_task])) if by_task else 0.0
        rungs.append(Rung(mean, f"{AUTO}-{100 * step:.0f}", by_task))
    return tuple(rungs)


def rounded(target: float, rise: float) -> float:
    """Round a target that was worked out.

    It has three decimals, and more where these would move it by over a hundredth of the rise.

    Args:
        target: the target.
        rise: distance between the ends of its ladder.
    """
    decimals = math.ceil(math.log10(50) - math.log10(rise)) if rise else 0
    return round(target, max(_DECIMALS, decimals))


def _rise(runs: Sequence[Reading]) -> tuple[float, float]:
    """Return the mean of runs at their initial labels, and at the cap or where they end."""
    ends = [run.accuracy_at_cap for run in runs]
    last = [run.values[-1] if math.isnan(end) else end for run, end in zip(runs, ends, strict=True)]
    return float(np.mean([run.values[0] for run in runs])), float(np.mean(last))
