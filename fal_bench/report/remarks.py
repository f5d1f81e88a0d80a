"""What the curves say about a leaderboard that its own numbers do not show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from fal_bench.report import wording
from fal_bench.report.budgets import GridRun, RunKey
from fal_bench.report.context import ReportContext

_MANY = 0.1
"""A target that so large a share of a task's runs is at before any query is pointed out."""


def curve_remarks(runs: Mapping[RunKey, GridRun], context: ReportContext) -> list[str]:
    """Say what one should know of the curves before reading the leaderboard.

    Args:
        runs: the finished runs.
        context: the question, with one target.

    Returns:
        Sentences: targets that the initial labels meet, and strategies whose curves are the same.
    """
    own = _measured_here(runs, context)
    return [*_met_at_start(own, context), *_same_curves(own, context)]


def dash_remarks(runs: Mapping[RunKey, GridRun], context: ReportContext) -> list[str]:
    """Explain the dashes in columns that only the page shows.

    Args:
        runs: the finished runs.
        context: the question, with one target.
    """
    return _short(_measured_here(runs, context), context)


def _measured_here(runs: Mapping[RunKey, GridRun], context: ReportContext) -> dict[RunKey, GridRun]:
    return {key: run for key, run in runs.items() if context.external(key[1]) is None}


def _met_at_start(runs: Mapping[RunKey, GridRun], context: ReportContext) -> list[str]:
    """Point out targets that tell nothing apart, since many runs begin at or above them."""
    several = len(_tasks(context)) > 1
    met = []
    for task in _tasks(context):
        starts = [float(run.accuracy[0]) for key, run in runs.items() if key[0] == task]
        above = sum(start >= context.target_on(task) for start in starts)
        if starts and above >= _MANY * len(starts):
            text = f"{above} of {wording.counted(len(starts), 'run')}"
            met.append(f"{text} on {wording.one_line(task)}" if several else text)
    if not met:
        return []
    return [
        f"Met with the initial labels: {', '.join(met)} are at or above this target before they "
        f"buy a label; it tells strategies apart poorly{' there' if several else ''}."
    ]


def _same_curves(runs: Mapping[RunKey, GridRun], context: ReportContext) -> list[str]:
    """Point out strategies that are one strategy here, under several names."""
    tasks = _tasks(context)
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for task in tasks:
        for names in _alike_on(runs, task):
            alike[names].append(task)
    sentences = []
    for names, where in sorted(alike.items()):
        on = "" if len(where) == len(tasks) else f" on {wording.listed(where)}"
        sentences.append(
            f"The same curves: {wording.listed(names)} have identical curves in every run{on}; "
            "there they are one strategy under several names."
        )
    return sentences


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


def _short(runs: Mapping[RunKey, GridRun], context: ReportContext) -> list[str]:
    """Explain the dashes of strategies that stop buying labels before the cap."""
    names = [name for name in sorted(set(context.strategies)) if _ends_early(runs, name)]
    if not names:
        return []
    return [
        f'"-" for the accuracy at the cap and AULC: some runs of {wording.listed(names)} end '
        "before the cap, because the strategy left labels unbought, so that there is no model to "
        "read there."
    ]


def _ends_early(runs: Mapping[RunKey, GridRun], name: str) -> bool:
    mine: Sequence[GridRun] = [run for key, run in runs.items() if key[1] == name]
    return any(bool(np.isnan(run.accuracy[run.cap_index])) for run in mine)


def _tasks(context: ReportContext) -> list[str]:
    return sorted({facts.name for facts in context.tasks})
