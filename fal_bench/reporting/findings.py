"""The facts of a board, found in its leaderboard and in the runs behind it."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from fal_bench.reporting import facts as f
from fal_bench.reporting.budgets import GridRun, RunKey
from fal_bench.reporting.columns import (
    Row,
    censored_pairs,
    group,
    is_best,
    is_ranked,
    pair_counts,
    rows_of,
)
from fal_bench.reporting.context import ReportContext
from fal_bench.reporting.leaderboard import ALPHA
from fal_bench.results.model import Environment
from fal_bench.stats import FEWEST_FOR_INTERVAL, can_reject

_ENOUGH_SEEDS = 10
"""A bootstrap of fewer seeds draws the same few again and again."""
_WIDE_SEEDS = 5
"""With fewer seeds a t interval is half as wide again as the spread of the runs warrants."""
_MANY = 0.1
"""A target that so large a share of a task's runs is at before any query is pointed out."""
_COMPARED = ("better", "worse", "no evidence", "n too small", "not comparable", "external")
"""Verdicts of strategies other than the baseline, in the order in which they are worded."""


def board_facts(
    leaderboard: pd.DataFrame, context: ReportContext, runs: Mapping[RunKey, GridRun]
) -> f.Facts:
    """Compute the facts of a board.

    Args:
        leaderboard: the table of ``build_leaderboard``.
        context: the question it answers.
        runs: the finished runs.
    """
    rows = rows_of(leaderboard)
    ranked = [row for row in rows if is_ranked(row)]
    complete = [row for row in rows if group(row) != "incomplete"]
    here = {key: run for key, run in runs.items() if context.external(key[1]) is None}
    trainers = _trainers(ranked, context)
    verdicts = sorted({row["verdict"] for row in ranked})
    return f.Facts(
        verdict=(*_verdict(ranked, context), *trainers, *_not_ranked(rows, context)),
        reading=_reading(ranked, complete, context),
        findings=(
            *filter(None, (_untested(verdict, ranked, context) for verdict in verdicts)),
            *trainers,
            *_censored_pairs(complete),
            *_too_hard(rows, context),
            *_met_at_start(here, context),
            *_same_curves(here, context),
            *_origins(rows, context),
            *_missing(context),
        ),
        page_only=_ends_early(here, context),
        provenance=_environments(context.environments),
    )


# The verdict.


def _verdict(ranked: list[Row], context: ReportContext) -> list[f.Fact]:
    best = [row for row in ranked if is_best(row)]
    if not ranked:
        return [f.NothingRanked()]
    if not best:
        return [_not_reached(ranked, context)]
    if len(ranked) == 1:
        return [f.OnlyStrategy(_standing(best[0]), others=len(set(context.strategies)) > 1)]
    first: f.Fact = f.SharedFirst(tuple(map(_standing, best)))
    rest = ranked
    if len(best) == 1:
        first = f.Winner(_standing(best[0]), _untested(best[0]["verdict"], ranked, context))
        rest = [row for row in ranked if row is not best[0]]
    return [first, *_compared(rest), *([f.OrderUntested()] if _tests(ranked) > 1 else [])]


def _compared(rows: list[Row]) -> list[f.Fact]:
    found = {
        verdict: tuple(_standing(row) for row in rows if row["verdict"] == verdict)
        for verdict in _COMPARED
    }
    return [f.Compared(verdict, standings) for verdict, standings in found.items() if standings]


def _standing(row: Row) -> f.Standing:
    return f.Standing(
        row["strategy"],
        float(row["labels"]),
        int(row["reached"]),
        int(row["runs"]),
        row["verdict"],
        _saving(row),
        None if math.isnan(row["p_holm"]) else float(row["p_holm"]),
    )


def _saving(row: Row) -> f.Saving | None:
    share, low, high = (row[f"saving_{name}"] for name in ("vs_random", "low", "high"))
    if math.isnan(share):
        return None
    known = row["reached"] and not math.isnan(low)  # else it is an interval of the cap alone
    harm, gain, neither = pair_counts(row) or (0, 0, 0)
    bound: Literal["", "at least", "at most"] = ""
    if bool(harm) != bool(gain) and not neither:
        bound = "at least" if (share > 0) == bool(gain) else "at most"
    interval = (float(low), float(high)) if known else None
    return f.Saving(float(share), interval, bound)


def _not_reached(ranked: list[Row], context: ReportContext) -> f.Fact:
    caps = tuple(sorted({facts.cap for facts in context.tasks}))
    known = [row for row in ranked if not math.isnan(row["accuracy_final"])]
    if not known:
        return f.TargetNotReached(caps, None, None)
    nearest = max(known, key=lambda row: context.sign * float(row["accuracy_final"]))
    return f.TargetNotReached(caps, nearest["strategy"], float(nearest["accuracy_final"]))


def _not_ranked(rows: list[Row], context: ReportContext) -> list[f.Fact]:
    members = {name: [row for row in rows if group(row) == name] for name in map(group, rows)}
    facts: list[f.Fact] = [f.Reference(_standing(row)) for row in members.get("reference", [])]
    if external := members.get("external"):
        facts.append(f.ExternalUnranked(tuple(row["strategy"] for row in external)))
    if incomplete := members.get("incomplete"):
        finished = tuple((row["strategy"], int(row["runs"])) for row in incomplete)
        facts.append(f.Incomplete(finished, len(context.tasks) * len(context.seeds)))
    return facts


def _untested(
    verdict: str, ranked: list[Row], context: ReportContext
) -> f.TooFewPairs | f.NotComparable | None:
    """Say why rows of a verdict were not tested; None if they were."""
    if verdict == "n too small":
        return _too_few_pairs(ranked, context)
    return _not_comparable(ranked, context) if verdict == "not comparable" else None


def _too_few_pairs(ranked: list[Row], context: ReportContext) -> f.TooFewPairs:
    comparisons, tasks = _tests(ranked), len(context.tasks)
    needed = next(number for number in itertools.count(1) if can_reject(number, comparisons))
    return f.TooFewPairs(tasks * len(context.seeds), comparisons, needed, math.ceil(needed / tasks))


def _not_comparable(ranked: list[Row], context: ReportContext) -> f.NotComparable:
    if any(row["strategy"] == context.baseline for row in ranked):
        return f.NotComparable("undecided")
    return f.NotComparable("incomplete" if context.baseline in context.strategies else "absent")


def _tests(rows: list[Row]) -> int:
    """Return how many strategies are tested together."""
    return sum(not math.isnan(row["p_holm"]) for row in rows)


def _trainers(ranked: list[Row], context: ReportContext) -> list[f.Fact]:
    known = dict(context.trainers)
    names = sorted({known[row["strategy"]] for row in ranked if row["strategy"] in known})
    return [f.TrainersDiffer(tuple(names))] if len(names) > 1 else []


# How to read the table.


def _reading(ranked: list[Row], complete: list[Row], context: ReportContext) -> tuple[f.Fact, ...]:
    steps = [facts.query_labels for facts in context.tasks]
    caps = [facts.cap for facts in context.tasks]
    few = any(row["reached"] < max(3, row["runs"] / 2) for row in ranked)
    tested = {row["verdict"] for row in ranked} & set(_COMPARED[:4])
    unsure = any(row["verdict"] == "no evidence" and _excludes_zero(row) for row in ranked)
    beyond = any(row["labels_strict"] > row["labels_paper"] for row in ranked)
    most = max((row["labels"] for row in ranked if row["reached"]), default=-math.inf)
    behind = any(row["labels"] < most for row in ranked if not row["reached"])
    found = [
        f.Resolution(min(steps), max(steps)),
        f.Censoring(min(caps), max(caps), from_below=context.higher_is_better),
        intervals(context, ranks=any(pd.notna(row["rank_low"]) for row in ranked)),
        f.BudgetsWithoutInterval() if few and has_intervals(context) else None,
        f.PairedTest(context.baseline, ALPHA) if tested else None,
        f.IntervalExcludesZero(_tests(ranked)) if unsure else None,
        f.StrictBeyondCap() if beyond and context.accounting == "strict" else None,
        f.NeverReachedLast() if behind else None,
        f.Dagger(context.baseline) if _daggered(complete) else None,
    ]
    return tuple(fact for fact in found if fact is not None)


def intervals(context: ReportContext, *, ranks: bool = False) -> f.Intervals | f.NoIntervals:
    """Say what intervals there are.

    Args:
        context: the question.
        ranks: whether ranks have intervals.
    """
    seeds, tasks = len(context.seeds), len(context.tasks)
    if not has_intervals(context):
        return f.NoIntervals(seeds, tasks, needed=FEWEST_FOR_INTERVAL)
    narrow = ranks and seeds < _ENOUGH_SEEDS
    return f.Intervals(seeds, tasks, ranks, wide=seeds < _WIDE_SEEDS, ranks_narrow=narrow)


def has_intervals(context: ReportContext) -> bool:
    """Tell whether there are seeds enough for intervals over them."""
    return len(context.seeds) >= FEWEST_FOR_INTERVAL


def _excludes_zero(row: Row) -> bool:
    return bool(row["saving_low"] > 0 or row["saving_high"] < 0)


def _daggered(rows: list[Row]) -> list[Row]:
    """Return the rows whose saving carries a dagger."""
    return [row for row in rows if not math.isnan(row["saving_vs_random"]) and censored_pairs(row)]


# Findings.


def _censored_pairs(complete: list[Row]) -> list[f.Fact]:
    marked = _daggered(complete)
    counts = tuple((row["strategy"], *pairs) for row in marked if (pairs := pair_counts(row)))
    return [f.CensoredPairs(int(marked[0]["runs"]), counts)] if marked else []


def _too_hard(rows: list[Row], context: ReportContext) -> list[f.Fact]:
    return [
        f.TargetTooHard(row["strategy"], int(row["reached"]), int(row["runs"]))
        for row in rows
        if row["strategy"] == context.baseline and 2 * row["reached"] < row["runs"]
    ]


def _met_at_start(runs: Mapping[RunKey, GridRun], context: ReportContext) -> list[f.Fact]:
    """Point out targets that tell little apart, since many runs begin at them."""
    met = []
    for task in context.task_names:
        starts = [context.sign * run.accuracy[0] for key, run in runs.items() if key[0] == task]
        at_once = sum(bool(start >= context.sign * context.target_on(task)) for start in starts)
        if starts and at_once >= _MANY * len(starts):
            met.append((task, at_once, len(starts)))
    return [f.MetAtStart(tuple(met), several=len(context.tasks) > 1)] if met else []


def _same_curves(runs: Mapping[RunKey, GridRun], context: ReportContext) -> list[f.Fact]:
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for task in context.task_names:
        for names in _alike_on(runs, task):
            alike[names].append(task)
    return [
        f.SameCurves(names, () if len(where) == len(context.tasks) else tuple(where))
        for names, where in sorted(alike.items())
    ]


def _alike_on(runs: Mapping[RunKey, GridRun], task: str) -> list[tuple[str, ...]]:
    """Return the groups of strategies with identical runs of a task, names in order."""
    by_strategy: dict[str, dict[int, bytes]] = defaultdict(dict)
    for (name, strategy, seed), run in runs.items():
        if name == task:
            by_strategy[strategy][seed] = _digest(run)
    groups: dict[tuple[tuple[int, bytes], ...], list[str]] = defaultdict(list)
    for strategy in sorted(by_strategy):
        groups[tuple(sorted(by_strategy[strategy].items()))].append(strategy)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def _digest(run: GridRun) -> bytes:
    """Return the numbers that make a run, as bytes that are equal only if they are."""
    axes = [run.axes[name] for name in sorted(run.axes)]
    return b"".join(np.ascontiguousarray(values).tobytes() for values in (run.accuracy, *axes))


def _origins(rows: list[Row], context: ReportContext) -> list[f.Fact]:
    """Say where external strategies come from; those with the same origin share a fact."""
    known = {row["strategy"]: int(row["runs"]) for row in rows}
    origins: dict[tuple[str, str, str, str, int, int], list[str]] = defaultdict(list)
    for one in context.externals:
        unranked, runs = one.unranked(context.accounting), len(one.runs)
        unknown = runs - known[one.strategy] if unranked else 0
        file, name, imported = one.origin.file, one.origin.name, one.origin.imported
        origins[file, name, imported, unranked, runs, unknown].append(one.strategy)
    return [f.ExternalOrigin(tuple(names), *origin) for origin, names in origins.items()]


def _missing(context: ReportContext) -> list[f.Fact]:
    seeds: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for run in context.missing:
        seeds[run.task, run.strategy, run.reason].add(run.seed)
    return [
        f.Missing(task, strategy, tuple(sorted(numbers)), reason)
        for (task, strategy, reason), numbers in sorted(seeds.items())
    ]


def _ends_early(runs: Mapping[RunKey, GridRun], context: ReportContext) -> tuple[f.Fact, ...]:
    early = {key[1] for key, run in runs.items() if np.isnan(run.accuracy[run.cap_index])}
    names = tuple(sorted(early & set(context.strategies)))
    return (f.EndsEarly(names),) if names else ()


def _environments(environments: Sequence[Environment]) -> tuple[f.Fact, ...]:
    """Say what differs, and what cannot be told to differ since some did not record it."""
    recorded = [dict(one.facts) for one in environments]
    names = sorted(set().union(*recorded))
    values = {name: {one[name] for one in recorded if name in one} for name in names}
    differing = tuple(name for name in names if len(values[name]) > 1)
    unrecorded = tuple(name for name in names if any(name not in one for one in recorded))
    return (
        *((f.EnvironmentsDiffer(differing),) if differing else ()),
        *((f.NotRecorded(unrecorded),) if unrecorded else ()),
    )
