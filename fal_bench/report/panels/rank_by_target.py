"""How the ranking depends on the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fal_bench.report import wording
from fal_bench.report.budgets import GridRun, RunKey
from fal_bench.report.context import ReportContext
from fal_bench.report.panels.base import (
    Cell,
    Figure,
    Panel,
    Table,
    layout,
    line_trace,
    marked_line,
)
from fal_bench.report.styles import LineStyle
from fal_bench.stats import Budget, rank, restricted_mean

_TARGETS = 20


def rank_by_target_panel(
    runs: Mapping[RunKey, GridRun],
    contexts: Sequence[ReportContext],
    strategies: Sequence[str],
    styles: Mapping[str, LineStyle],
) -> Panel:
    """Draw the rank of every complete strategy at targets from easy to hard.

    Args:
        runs: the finished runs.
        contexts: the question for every target that was asked.
        strategies: the complete strategies.
        styles: the line of every strategy.
    """
    names = sorted(strategies)
    title = "Rank against target"
    targets = _targets(runs, contexts[0], names)
    if len(names) < 2 or not targets:
        return Panel("ranks", title, "There are not two complete strategies to rank.", (), None)
    places = [_places(runs, contexts[0], names, target) for target in targets]
    asked = [one.target for one in contexts if len(one.task_targets) <= 1]
    figure = Figure(
        "ranks-plot",
        "Rank of every strategy, by target accuracy",
        [
            line_trace(
                name,
                styles[name],
                targets,
                [place[column] for place in places],
                mode="lines+markers",
                marker={"symbol": styles[name].marker, "size": 6},
                hovertemplate="rank %{y} at %{x:.0%}",
            )
            for column, name in enumerate(names)
        ],
        layout(
            "Target accuracy, the same on all tasks",
            "Rank",
            xaxis={"tickformat": ".0%"},
            yaxis={
                "range": [len(names) + 0.5, 0.5],
                "tickvals": _ticks(len(names)),
            },
            hovermode="closest",
            shapes=[marked_line("x", target, "dash") for target in asked],
        ),
    )
    text = (
        "Would another target have given another winner? Every strategy's rank, by mean budget "
        "over all tasks and seeds, at targets that at least one run reached. Rank 1 is on top; "
        "where lines cross, the order depends on the target."
    )
    if asked:
        text += " Dashed: what was asked."
    table = Table(
        "Rank by target accuracy",
        ("Target", *names),
        [
            [Cell(wording.percent(target), target), *(Cell(str(one), one) for one in place)]
            for target, place in zip(targets, places, strict=True)
        ],
    )
    return Panel("ranks", title, text, (figure,), table)


def _ticks(places: int) -> list[int]:
    """Return the ranks that are written on the axis: the first one, and steps that leave room."""
    step = 1 if places <= 12 else 5
    return sorted({1, *range(step, places + 1, step)})


def _targets(
    runs: Mapping[RunKey, GridRun], context: ReportContext, names: Sequence[str]
) -> list[float]:
    """Return targets from the lowest mean at the initial labels to the best one at the cap."""
    starts, ends = [], []
    for name in names:
        for facts in context.tasks:
            mine = [
                runs[facts.name, name, seed].accuracy[: len(facts.grid)]
                for seed in sorted(set(context.seeds))
            ]
            mean = np.mean(mine, axis=0)
            starts.append(float(mean[0]))
            ends.append(float(mean[-1]))
    known = [end for end in ends if not np.isnan(end)]
    if not known or max(known) <= min(starts):
        return []
    found = np.unique(np.round(np.linspace(min(starts), max(known), _TARGETS + 2)[1:-1], 3))
    reachable = [
        target for target in found.tolist() if any(_reached(run, target) for run in runs.values())
    ]
    return [float(target) for target in reachable if target > 0]


def _reached(run: GridRun, target: float) -> bool:
    return run.budget(target).interpolated["paper"].reached


def _places(
    runs: Mapping[RunKey, GridRun], context: ReportContext, names: Sequence[str], target: float
) -> list[int]:
    tasks = sorted(facts.name for facts in context.tasks)
    seeds = sorted(set(context.seeds))
    labels, reached, accuracy = [], [], []
    for name in names:
        found = [[runs[task, name, seed].budget(target) for seed in seeds] for task in tasks]
        budgets: list[list[Budget]] = [
            [run.interpolated[context.accounting] for run in task] for task in found
        ]
        labels.append(restricted_mean(budgets).mean)
        reached.append(any(budget.reached for task in budgets for budget in task))
        accuracy.append(float(np.mean([[run.accuracy_at_cap for run in task] for task in found])))
    return [int(place) for place in rank(labels, reached, accuracy)]
