"""The runs of one strategy that has all of them, and the numbers that need no other strategy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from fal_bench.reporting.budgets import RunBudget, RunKey
from fal_bench.reporting.context import Accounting, ReportContext
from fal_bench.stats import (
    Budget,
    Estimate,
    expected_restart_labels,
    median_budget,
    restricted_mean,
    wilson_interval,
)

_T = TypeVar("_T")
_UNKNOWN = Estimate(math.nan)


def own_stream() -> np.random.Generator:
    """Return a new stream for one statistic of one strategy.

    It is the same for all of them, so that adding a strategy cannot shift another one's number.
    """
    return np.random.Generator(np.random.Philox(key=0))


@dataclass(frozen=True)
class OwnRuns:
    """A strategy's runs; columns of the leaderboard read their values off it if it is complete.

    Numbers are NaN where they need labels that an external strategy does not give.

    Attributes:
        runs: a list over tasks, in the order of their names, of a list over seeds, in theirs.
        context: the question, for accounting and tasks.
        complete_tasks: number of tasks on which no run is missing.
    """

    runs: Sequence[Sequence[RunBudget]]
    context: ReportContext
    complete_tasks: int

    @classmethod
    def of(
        cls, strategy: str, budgets: Mapping[RunKey, RunBudget], context: ReportContext
    ) -> OwnRuns:
        """Pick the runs of a strategy."""
        runs, complete_tasks = [], 0
        for task in context.task_names:
            keys = [(task, strategy, seed) for seed in context.seeds_of(strategy, task)]
            runs.append([budgets[key] for key in keys if key in budgets])
            complete_tasks += 0 < len(runs[-1]) == len(keys)
        return cls(runs, context, complete_tasks)

    def read(self, number: Callable[[RunBudget], _T]) -> list[list[_T]]:
        """Read something off every run: a list over tasks of a list over seeds."""
        return [[number(run) for run in task] for task in self.runs]

    def mean(self, number: Callable[[RunBudget], float]) -> float:
        """Average a number over the runs of each task, then over tasks."""
        return float(np.mean([np.mean(task) for task in self.read(number)]))

    def budgets(self, accounting: Accounting) -> list[list[Budget]]:
        """Return the interpolated budgets; empty if the labels of some run are not known."""
        if any(accounting not in run.interpolated for task in self.runs for run in task):
            return []
        return self.read(lambda run: run.interpolated[accounting])

    @cached_property
    def ranking(self) -> list[list[Budget]]:
        """The interpolated budgets under the accounting that ranks; empty if not known."""
        return self.budgets(self.context.accounting)

    def labels(self, accounting: Accounting) -> float:
        """The restricted mean budget under an accounting."""
        budgets = self.budgets(accounting)
        if budgets == self.ranking:
            return self.budget.mean
        return restricted_mean(budgets).mean if budgets else math.nan

    @cached_property
    def budget(self) -> Estimate:
        """The restricted mean budget that ranks, with its interval."""
        found = restricted_mean(self.ranking) if self.ranking else _UNKNOWN
        if not math.isfinite(found.low):
            return found
        # No budget is below the initial labels, and no cost below nothing, so no interval says so.
        initial = float(np.mean([facts.grid[0] for facts in self.context.tasks]))
        least = 0.0 if self.context.accounting == "cost" else initial
        return Estimate(found.mean, max(found.low, least), found.high)

    @property
    def step(self) -> float:
        """The restricted mean of the step values that rank."""
        if not self.ranking:
            return math.nan
        return restricted_mean(self.read(lambda run: run.step[self.context.accounting])).mean

    @property
    def pool_share(self) -> float:
        """Paper labels as a percentage of the query pool."""
        pairs = zip(self.budgets("paper"), self.context.tasks, strict=True)
        shares = [[100 * run.labels / facts.pool for run in task] for task, facts in pairs]
        return float(np.mean([np.mean(task) for task in shares]))

    @cached_property
    def medians(self) -> list[Budget]:
        """The median budget of every task; none if labels that rank are not known."""
        return [median_budget(task) for task in self.ranking]

    @cached_property
    def restarts(self) -> Estimate:
        """The expected labels with restarts."""
        return expected_restart_labels(self.ranking, own_stream()) if self.ranking else _UNKNOWN

    @cached_property
    def reached(self) -> tuple[float, float]:
        """The interval of the share of runs that reach the target."""
        flat = [run.reached for task in self.ranking for run in task]
        return wilson_interval(sum(flat), len(flat)) if flat else (math.nan, math.nan)
