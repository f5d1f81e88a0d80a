"""The facts of a board, found in its leaderboard and in the runs behind it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from fal_bench.reporting import facts as f
from fal_bench.reporting.budgets import Reading, RunKey
from fal_bench.reporting.columns import (
    Row,
    group,
    has_dagger,
    is_best,
    is_ranked,
    pair_counts,
    rows_of,
)
from fal_bench.reporting.context import ReportContext, Stop
from fal_bench.reporting.leaderboard import EQUAL, FEWEST_TASKS
from fal_bench.results.model import Environment
from fal_bench.stats import FEWEST_FOR_INTERVAL, FEWEST_SEEDS

_WIDE_SEEDS = 5
"""With fewer seeds a t interval is half as wide again as the spread of the runs warrants."""
_MANY = 0.1
"""A target that so large a share of a task's runs is at before any query is pointed out."""
_COMPARED = (
    "better", "worse", "equal", "no evidence", "too few seeds", "not comparable", "external",
)  # fmt: skip
"""Verdicts of strategies other than the baseline, in the order in which they are worded."""


def board_facts(
    leaderboard: pd.DataFrame, context: ReportContext, runs: Mapping[RunKey, Reading]
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
        verdict=(
            *_verdict(ranked, context),
            *_across_tasks(ranked, context),
            *trainers,
            *_not_ranked(rows, context),
        ),
        reading=_reading(ranked, complete, context),
        findings=(
            *_undertrained(context),
            *filter(None, (_untested(verdict, ranked, context) for verdict in verdicts)),
            *trainers,
            *_censored_pairs(complete),
            *_too_hard(rows, context),
            *_met_at_start(here, context),
            *_same_curves(here, context),
            *_stopped(context),
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
    if len(best) > 1:
        return [f.SharedFirst(tuple(map(_standing, best))), *_compared(ranked)]
    first = best[0]
    rest = [row for row in ranked if row is not first]
    return [
        f.Winner(_standing(first), _untested(first["verdict"], ranked, context)),
        *_wider(first, context),
        *_tied(rest),
        *_compared(rest),
    ]


def _tied(rest: list[Row]) -> list[f.Fact]:
    known = [row for row in rest if bool(pd.notna(row["rank_low"]))]
    tied = tuple(row["strategy"] for row in known if row["rank_low"] == 1)
    return [f.TiedWithFirst(tied)] if tied else []


def _wider(first: Row, context: ReportContext) -> list[f.Fact]:
    saving = _saving(first, "saving_ladder", "saving_ladder")
    if not context.wider or saving is None or first["verdict"] == "baseline":
        return []
    derived = bool(context.wider[0].name)
    return [f.WiderSaving(first["strategy"], saving, len(context.wider), derived)]


def _across_tasks(ranked: list[Row], context: ReportContext) -> list[f.Fact]:
    """Say what other tasks like these let expect, if there are tasks enough to say so."""
    known = [row for row in ranked if not math.isnan(row["saving_across_low"])]
    if not known or len(context.tasks) < FEWEST_TASKS:
        return []
    better = tuple(row["strategy"] for row in known if row["saving_across_low"] > 0)
    worse = tuple(row["strategy"] for row in known if row["saving_across_high"] < 0)
    return [f.AcrossTasks(len(context.tasks), better, worse)]


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
        _saving(row, "saving_vs_random", "saving"),
    )


def _saving(row: Row, name: str, ends: str) -> f.Saving | None:
    share, low, high = row[name], row[f"{ends}_low"], row[f"{ends}_high"]
    if math.isnan(share):
        return None
    bound: Literal["", "at least", "at most"] = ""
    if math.isnan(low) != math.isnan(high):
        bound = "at least" if (share > 0) == math.isnan(high) else "at most"
    return f.Saving(float(share), _number(low), _number(high), bound)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


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
) -> f.TooFewSeeds | f.NotComparable | None:
    """Say why rows of a verdict were not tested; None if they were."""
    if verdict == "too few seeds":
        return f.TooFewSeeds(len(context.seeds), FEWEST_SEEDS)
    return _not_comparable(ranked, context) if verdict == "not comparable" else None


def _not_comparable(ranked: list[Row], context: ReportContext) -> f.NotComparable:
    if any(row["strategy"] == context.baseline for row in ranked):
        return f.NotComparable("undecided")
    return f.NotComparable("incomplete" if context.baseline in context.strategies else "absent")


def _trainers(ranked: list[Row], context: ReportContext) -> list[f.Fact]:
    known = dict(context.trainers)
    names = sorted({known[row["strategy"]] for row in ranked if row["strategy"] in known})
    return [f.TrainersDiffer(tuple(names))] if len(names) > 1 else []


# How to read the table.


def _reading(ranked: list[Row], complete: list[Row], context: ReportContext) -> tuple[f.Fact, ...]:
    steps = [facts.query_labels for facts in context.tasks]
    caps = [facts.cap for facts in context.tasks]
    few = any(row["reached"] < max(3, row["runs"] / 2) for row in ranked)
    compared = sum(row["verdict"] in _COMPARED[:5] for row in ranked)
    beyond = tuple(row["strategy"] for row in ranked if row["labels_strict"] > row["labels_paper"])
    most = max((row["labels"] for row in ranked if row["reached"]), default=-math.inf)
    behind = any(row["labels"] < most for row in ranked if not row["reached"])
    found = [
        f.Resolution(min(steps), max(steps)),
        f.Censoring(min(caps), max(caps), from_below=context.higher_is_better),
        f.Procedure(context.baseline, len(context.rungs), compared, EQUAL) if compared else None,
        intervals(context),
        f.BudgetsWithoutInterval() if few and has_intervals(context) else None,
        f.StrictBeyondCap(beyond) if beyond and context.accounting == "strict" else None,
        f.NeverReachedLast() if behind else None,
        f.Dagger(context.baseline) if any(map(has_dagger, complete)) else None,
    ]
    return tuple(fact for fact in found if fact is not None)


def intervals(context: ReportContext) -> f.Intervals | f.NoIntervals:
    """Say what intervals of budgets there are.

    Args:
        context: the question.
    """
    seeds, tasks = len(context.seeds), len(context.tasks)
    if not has_intervals(context):
        return f.NoIntervals(seeds, tasks, needed=FEWEST_FOR_INTERVAL)
    return f.Intervals(seeds, tasks, wide=seeds < _WIDE_SEEDS)


def has_intervals(context: ReportContext) -> bool:
    """Tell whether there are seeds enough for intervals over them."""
    return len(context.seeds) >= FEWEST_FOR_INTERVAL


# Findings.


def _undertrained(context: ReportContext) -> list[f.Fact]:
    """Name the tasks whose models do not learn their labels: speed of learning shows there."""
    by_task: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for task, strategy, value in context.undertrained:
        by_task[task].append((strategy, value))
    found = tuple(
        (task, tuple(name for name, _ in members), min(value for _, value in members))
        for task, members in sorted(by_task.items())
    )
    everywhere = len(context.undertrained) == len(context.tasks) * len(context.strategies)
    return [f.Undertrained(found, everywhere)] if found else []


def _stopped(context: ReportContext) -> list[f.Fact]:
    """Say what strategies that stop of their own accord had spent then, and what for."""
    groups: dict[tuple[str, str], list[Stop]] = defaultdict(list)
    for stop in context.stops:
        groups[stop.task, stop.strategy].append(stop)
    pools = {facts.name: facts.pool for facts in context.tasks}
    found: list[f.Fact] = []
    for (task, strategy), runs in sorted(groups.items()):
        if not pools[task]:
            continue
        shares = [len(run.labels) * own / pools[task] for run in runs for own in run.labels]
        metrics = tuple(
            (name, *_mean_and_most([dict(run.metrics)[name] for run in runs]))
            for name, _ in runs[0].metrics
        )
        early = sum(run.early for run in runs)
        budget = _mean_and_most(shares)
        found.append(f.Stopped(task, strategy, early, len(runs), budget, metrics))
    return found


def _mean_and_most(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.max(values))


def _censored_pairs(complete: list[Row]) -> list[f.Fact]:
    marked = [row for row in complete if has_dagger(row)]
    counts = tuple((row["strategy"], *pairs) for row in marked if (pairs := pair_counts(row)))
    return [f.CensoredPairs(int(marked[0]["pairs"]), counts)] if marked else []


def _too_hard(rows: list[Row], context: ReportContext) -> list[f.Fact]:
    return [
        f.TargetTooHard(row["strategy"], int(row["reached"]), int(row["runs"]), context.metric)
        for row in rows
        if row["strategy"] == context.baseline and 2 * row["reached"] < row["runs"]
    ]


def _met_at_start(runs: Mapping[RunKey, Reading], context: ReportContext) -> list[f.Fact]:
    """Point out targets that tell little apart, since many runs begin at them."""
    met = []
    for task in context.task_names:
        starts = [context.sign * run.values[0] for key, run in runs.items() if key[0] == task]
        at_once = sum(bool(start >= context.sign * context.target_on(task)) for start in starts)
        if starts and at_once >= _MANY * len(starts):
            met.append((task, at_once, len(starts)))
    return [f.MetAtStart(tuple(met), several=len(context.tasks) > 1)] if met else []


def _same_curves(runs: Mapping[RunKey, Reading], context: ReportContext) -> list[f.Fact]:
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for task in context.task_names:
        for names in _alike_on(runs, task):
            alike[names].append(task)
    return [
        f.SameCurves(names, () if len(where) == len(context.tasks) else tuple(where))
        for names, where in sorted(alike.items())
    ]


def _alike_on(runs: Mapping[RunKey, Reading], task: str) -> list[tuple[str, ...]]:
    """Return the groups of strategies with identical runs of a task, names in order."""
    by_strategy: dict[str, dict[int, bytes]] = defaultdict(dict)
    for (name, strategy, seed), run in runs.items():
        if name == task:
            by_strategy[strategy][seed] = run.digest
    groups: dict[tuple[tuple[int, bytes], ...], list[str]] = defaultdict(list)
    for strategy in sorted(by_strategy):
        groups[tuple(sorted(by_strategy[strategy].items()))].append(strategy)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def _origins(rows: list[Row], context: ReportContext) -> list[f.Fact]:
    """Say where external strategies come from; those with the same origin share a fact."""
    known = {row["strategy"]: int(row["runs"]) for row in rows}
    origins: dict[tuple[str, str, str, str, int, int, bool], list[str]] = defaultdict(list)
    for one in context.externals:
        unranked, runs = one.unranked(context.accounting), len(one.runs)
        unknown = runs - known[one.strategy] if unranked else 0
        file, name, imported = one.origin.file, one.origin.name, one.origin.imported
        paired = context.paired(one.strategy)
        origins[file, name, imported, unranked, runs, unknown, paired].append(one.strategy)
    return [f.ExternalOrigin(tuple(names), *origin) for origin, names in origins.items()]


def _missing(context: ReportContext) -> list[f.Fact]:
    seeds: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for run in context.missing:
        seeds[run.task, run.strategy, run.reason].add(run.seed)
    tasks: dict[tuple[str, tuple[int, ...], str], list[str]] = defaultdict(list)
    for (task, strategy, reason), numbers in sorted(seeds.items()):
        tasks[strategy, tuple(sorted(numbers)), reason].append(task)
    return [f.Missing(tuple(names), *run) for run, names in tasks.items()]


def _ends_early(runs: Mapping[RunKey, Reading], context: ReportContext) -> tuple[f.Fact, ...]:
    early = {key[1] for key, run in runs.items() if np.isnan(run.accuracy_at_cap)}
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
