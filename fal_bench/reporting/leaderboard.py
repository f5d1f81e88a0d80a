"""The leaderboard: one row a strategy, ranked by the labels that it saves over all tasks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fal_bench.reporting.budgets import Reading, RunKey, budgets_at
from fal_bench.reporting.columns import COLUMNS, KEYS
from fal_bench.reporting.context import ReportContext, Rung
from fal_bench.reporting.own_runs import OwnRuns, own_stream
from fal_bench.stats import (
    FEWEST_SEEDS,
    CensoredPairs,
    censored_pairs,
    mean_of_task_means,
    mean_over_tasks,
    rank,
    rank_ranges,
    saving,
    simultaneous_intervals,
)

LEVEL: Final = 0.95
"""Confidence that all intervals of savings on a board hold at once."""
EQUAL: Final = 0.05
"""A strategy whose interval lies within this saving and loss is equal to the baseline."""
FEWEST_TASKS: Final = 6
"""Tasks from which something is said about other tasks like these."""

# Log ratios that differ less are the same up to rounding.
_DIGITS: Final = 9

_AFTER_RANKED = {"external": 1, "incomplete": 2}
_TYPES = {column.key: column.dtype for column in COLUMNS if column.dtype}


@dataclass(frozen=True)
class Spent:
    """What the runs of one strategy spend on the way to the targets of a ladder.

    Attributes:
        steps: log labels of each run to each target, shape (n_targets, n_tasks, n_seeds).
        reached: whether it reached it, likewise.
    """

    steps: NDArray[np.float64]
    reached: NDArray[np.bool_]

    @cached_property
    def logs(self) -> NDArray[np.float64]:
        """Log labels of each run, averaged over the targets, shape (n_tasks, n_seeds)."""
        return np.asarray(self.steps.mean(axis=0), dtype=float)


@dataclass(frozen=True)
class Ladder:
    """What all complete strategies spend on the way to the same targets."""

    spent: Mapping[str, Spent]

    @classmethod
    def climb(
        cls,
        runs: Mapping[RunKey, Reading],
        context: ReportContext,
        rungs: Sequence[Rung],
        strategies: Sequence[str],
    ) -> Ladder:
        """Read the runs at each target.

        A strategy that lacks a run, or whose labels that rank are not known, is left out; so is an
        external one that does not show where it reaches each target.

        Args:
            runs: the finished runs.
            context: the question.
            rungs: the targets.
            strategies: those that are wanted.
        """
        targets = {
            task: [context.at(rung).target_on(task) for rung in rungs]
            for task in context.task_names
        }
        doubtful = {one.strategy for one in context.externals if one.obstacle}
        found = {}
        for name in strategies:
            keys = [
                [(task, name, seed) for seed in context.seeds_of(name, task)] for task in targets
            ]
            there = [[runs[key] for key in task if key in runs] for task in keys]
            known = all(context.accounting in run.axes for task in there for run in task)
            shown = name not in doubtful or all(
                run.shows(target)
                for wanted, task in zip(targets.values(), there, strict=True)
                for run in task
                for target in wanted
            )
            complete = (
                list(map(len, there)) == list(map(len, keys)) and len(set(map(len, keys))) == 1
            )
            if known and shown and complete and keys[0]:
                found[name] = _spent(there, list(targets.values()), context)
        return cls(found)

    def at(self, rung: int) -> Ladder:
        """Return the ladder of one of the targets alone."""
        one = slice(rung, rung + 1)
        return Ladder(
            {name: Spent(own.steps[one], own.reached[one]) for name, own in self.spent.items()}
        )

    def differences(self, name: str, other: str) -> NDArray[np.float64]:
        """Return the paired log ratios of two strategies, shape (n_tasks, n_seeds)."""
        return self.spent[name].logs - self.spent[other].logs

    def censored(self, name: str, other: str, task: int | None = None) -> CensoredPairs:
        """Count the pairs, over all targets, of which not both runs reached.

        Args:
            name: the strategy.
            other: what it is compared with.
            task: the place of the one task whose pairs are counted; all tasks' if None.
        """
        tasks = slice(None) if task is None else task
        mine, theirs = (self.spent[one].reached[:, tasks] for one in (name, other))
        return censored_pairs(mine, theirs)


def _spent(
    runs: Sequence[Sequence[Reading]], targets: Sequence[Sequence[float]], context: ReportContext
) -> Spent:
    labels, reached = [], []
    for wanted, task in zip(targets, runs, strict=True):
        climbed = [run.climb(wanted, context.accounting) for run in task]
        labels.append([one for one, _ in climbed])
        reached.append([one for _, one in climbed])
    steps, got = (np.moveaxis(np.array(one), 2, 0) for one in (labels, reached))
    return Spent(np.log(steps), got)


def build_leaderboard(
    runs: Mapping[RunKey, Reading], context: ReportContext, ladder: Ladder | None = None
) -> pd.DataFrame:
    """Rank strategies by the labels that they save on the way to the target, or up a ladder.

    Only complete strategies, with a finished run for every task and seed of the context, are
    ranked: those that reached a target at least once by the mean of log labels, then those that
    never did, by the same and, where these are equal, by ``accuracy_final``. Equal strategies share
    the better rank. References (``context.references``) come after them, with their numbers but
    without a rank or a verdict, then external strategies (``context.externals``) that cannot be
    ranked; those that can are ranked, and have a verdict where their runs are paired. Incomplete
    strategies come last, with their counts alone, since means over other runs would not compare.
    The result does not depend on the order of runs, strategies, tasks or seeds.

    Args:
        runs: the finished runs (``read_runs``).
        context: the tasks, the strategies and the question asked.
        ladder: what all of them spend on the way to the targets, if that is known already.

    Returns:
        One row a strategy with the columns ``columns.COLUMNS``. Budgets are restricted means in
        labels, ``labels`` under the ranking accounting, to the context's target, which is the
        middle one of a ladder; ``saving_vs_random`` is a fraction over the whole ladder and refers
        to ``context.baseline``, whatever its name; ``target_name`` is set where every task has a
        target of its own, and ``target_acc`` is their mean then; ``source`` is the file of an
        external strategy. NaN stands where there is no number, and where an interval is open;
        ``ert`` is infinite where no run reached the target.

    Raises:
        ValueError: the context has no task or no seed.
    """
    if not context.tasks or not context.seeds:
        raise ValueError("a leaderboard needs at least one task and one seed.")
    budgets = budgets_at(runs, context)
    rows, complete = [], {}
    for strategy in sorted(context.shown):
        own = OwnRuns.of(strategy, budgets, context)
        row = _counts(strategy, own, context)
        rows.append(row)
        if own.complete_tasks == len(context.tasks):
            complete[strategy] = own
            row.update({one.key: one.value(own) for one in COLUMNS if one.value is not None})
    ladder = ladder or Ladder.climb(runs, context, context.rungs, sorted(complete))
    _compare_with_baseline(rows, ladder, context)
    if context.wider:
        wider = Ladder.climb(runs, context, context.wider, sorted(complete))
        _add_wider_saving(rows, wider, context)
    unranked = {one.strategy for one in context.externals if one.unranked(context.accounting)}
    ranked = set(ladder.spent) - context.references - unranked
    _rank([row for row in rows if row["strategy"] in ranked], complete, ladder, context)
    rows.sort(key=_place)
    return pd.DataFrame(rows, columns=list(KEYS)).astype(_TYPES)


def _place(row: Mapping[str, Any]) -> tuple[float, int, str]:
    """Order by rank; then references, external strategies and incomplete ones."""
    place = math.inf if row["rank"] is pd.NA else row["rank"]
    return place, _AFTER_RANKED.get(row["verdict"], 0), row["strategy"]


def _counts(strategy: str, own: OwnRuns, context: ReportContext) -> dict[str, Any]:
    """Start the row of a strategy."""
    row = {
        column.key: column.given(context, strategy) if column.given else column.blank
        for column in COLUMNS
    }
    finished = [run for task in own.runs for run in task]
    row.update(
        tasks=own.complete_tasks,
        runs=len(finished),
        reached=sum(run.interpolated["paper"].reached for run in finished),
        verdict="external" if context.external(strategy) else "incomplete",
    )
    return row


def places(names: Sequence[str], ladder: Ladder, accuracies: Sequence[float]) -> list[int]:
    """Return the ranks of complete strategies, from 1; equal ones share the better rank.

    Args:
        names: the strategies.
        ladder: what they spend.
        accuracies: what each has at the cap, more being better.
    """
    spent = [ladder.spent[name] for name in names]
    found: list[int] = rank(
        [float(one.logs.mean()) for one in spent],
        [bool(one.reached.any()) for one in spent],
        accuracies,
    ).tolist()
    return found


def _rank(
    rows: list[dict[str, Any]],
    complete: Mapping[str, OwnRuns],
    ladder: Ladder,
    context: ReportContext,
) -> None:
    """Give complete strategies their rank, and the range that the runs leave it."""
    if not rows:
        return
    names = [row["strategy"] for row in rows]
    finals = [complete[name].mean(lambda run: run.accuracy_at_cap) for name in names]
    found = places(names, ladder, [context.sign * final for final in finals])
    for row, place in zip(rows, found, strict=True):
        row["rank"] = place
    # Imported runs that are not known to be paired with these leave their strategies any rank.
    own = [row for row in rows if context.paired(row["strategy"])]
    spent = [ladder.spent[row["strategy"]] for row in own]
    ranges = rank_ranges(
        [one.logs for one in spent], [one.reached for one in spent], own_stream(), level=LEVEL
    )
    if ranges is None:
        return
    for row, low, high in zip(own, *ranges, strict=True):
        last = int(high) + len(rows) - len(own)
        # A strategy that never reached a target is last, also behind one that it is tied with.
        row.update(rank_low=min(int(low), row["rank"]), rank_high=max(last, row["rank"]))


@dataclass(frozen=True)
class Saved:
    """What a strategy saves against the baseline; NaN for no saving, no interval or an open end.

    Attributes:
        saving: share of labels saved.
        low: lower end of its interval, which holds for all competitors at once.
        high: upper end.
        censored: the pairs of which not both runs reached.
        verdict: what follows from them.
    """

    saving: float
    low: float
    high: float
    censored: CensoredPairs
    verdict: str


def savings(
    ladder: Ladder, names: Sequence[str], baseline: str, references: Collection[str] = ()
) -> dict[str, Saved]:
    """Compare strategies with the baseline.

    Args:
        ladder: what they spend.
        names: the strategies.
        baseline: what they are compared with.
        references: those that are no competitors: the intervals of the others do not depend on
            them.
    """
    differences = np.array([ladder.differences(name, baseline) for name in names])
    family = [name not in references for name in names]
    found = simultaneous_intervals(differences, own_stream(), family=family, level=LEVEL)
    return {
        name: _saved(mean, low, high, differences.shape[2], ladder.censored(name, baseline))
        for name, mean, low, high in zip(names, found.means, found.low, found.high, strict=True)
    }


def _saved(mean: float, low: float, high: float, seeds: int, censored: CensoredPairs) -> Saved:
    if censored.saving_understated and censored.harm_understated:
        return Saved(math.nan, math.nan, math.nan, censored, "not comparable")
    # Pairs that do not vary have no interval, but leave nothing open; rounding is no difference.
    sure = round(mean, _DIGITS)
    judged = (sure, sure) if math.isnan(low) else (low, high)
    verdict = _verdict(*_ends(*judged, censored), seeds=seeds)
    return Saved(saving(mean), *_ends(low, high, censored), censored, verdict)


def _ends(low: float, high: float, censored: CensoredPairs) -> tuple[float, float]:
    """Return the ends of a saving from those of a log ratio; NaN where it is open."""
    # Fewer labels are a lower log ratio and a higher saving.
    shut = math.isfinite(low)
    return (
        saving(high) if shut and not censored.harm_understated else math.nan,
        saving(low) if shut and not censored.saving_understated else math.nan,
    )


def beyond_chance(differences: NDArray[np.float64], censored: CensoredPairs) -> int:
    """Tell on which side of the baseline a strategy is on one task, by that task alone.

    Args:
        differences: paired log ratios on the task, shape (n_seeds,).
        censored: the pairs of the task of which not both runs reached.

    Returns:
        1 if it saves beyond chance, -1 if it loses, 0 if the runs do not say.
    """
    own = mean_of_task_means([differences], level=LEVEL)
    low, high = _ends(own.low, own.high, censored)
    return int(low > 0) - int(high < 0)


def _verdict(low: float, high: float, *, seeds: int) -> str:
    if seeds < FEWEST_SEEDS:
        return "too few seeds"
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "equal" if low >= -EQUAL and high <= EQUAL else "no evidence"


def _compare_with_baseline(
    rows: Sequence[dict[str, Any]], ladder: Ladder, context: ReportContext
) -> None:
    """Fill in savings and verdicts of the complete strategies whose runs pair.

    Args:
        rows: rows of the leaderboard, changed in place.
        ladder: what the complete strategies spend.
        context: the question, for baseline and references.
    """
    own = [
        row for row in rows if row["strategy"] in ladder.spent and context.paired(row["strategy"])
    ]
    for row in own:
        row["verdict"] = "not comparable"
        if row["strategy"] == context.baseline:
            row.update(saving_vs_random=0.0, verdict="baseline")
    others = [row for row in own if row["strategy"] != context.baseline]
    if context.baseline in ladder.spent and others:
        names = [row["strategy"] for row in others]
        found = savings(ladder, names, context.baseline, context.references)
        for row in others:
            _fill_in(row, found[row["strategy"]], ladder, context)
    for row in others:
        if row["strategy"] in context.references:
            row["verdict"] = "reference"  # no verdict: it is no competitor


def _fill_in(row: dict[str, Any], found: Saved, ladder: Ladder, context: ReportContext) -> None:
    """Fill in what a comparison with the baseline says of a strategy."""
    row.update(
        verdict=found.verdict,
        saving_vs_random=found.saving,
        saving_low=found.low,
        saving_high=found.high,
        pairs_strategy_censored=found.censored.strategy,
        pairs_baseline_censored=found.censored.baseline,
        pairs_both_censored=found.censored.both,
        pairs=found.censored.pairs,
    )
    if found.verdict == "not comparable":
        return
    differences = ladder.differences(row["strategy"], context.baseline)
    if len(context.seeds) >= FEWEST_SEEDS:
        sides = [
            beyond_chance(task, ladder.censored(row["strategy"], context.baseline, place))
            for place, task in enumerate(differences)
        ]
        row.update(tasks_won=sides.count(1), tasks_lost=sides.count(-1))
    if len(context.tasks) >= FEWEST_TASKS and (across := mean_over_tasks(differences, level=LEVEL)):
        low, high = _ends(*across, found.censored)
        row.update(saving_across_low=low, saving_across_high=high)


def _add_wider_saving(
    rows: Sequence[dict[str, Any]], ladder: Ladder, context: ReportContext
) -> None:
    """Fill in the savings over a ladder, beside those of a single target."""
    if context.baseline not in ladder.spent:
        return
    names = [
        name for name in sorted(ladder.spent) if name != context.baseline and context.paired(name)
    ]
    found = savings(ladder, names, context.baseline, context.references) if names else {}
    for row in rows:
        if row["strategy"] in found:
            one = found[row["strategy"]]
            row.update(
                saving_ladder=one.saving, saving_ladder_low=one.low, saving_ladder_high=one.high
            )
        elif row["strategy"] == context.baseline:
            row["saving_ladder"] = 0.0
