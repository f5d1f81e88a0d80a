"""How the ranking depends on the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fal_bench.reporting import wording
from fal_bench.reporting.context import Rung
from fal_bench.reporting.leaderboard import Ladder, places
from fal_bench.reporting.panels.base import Cell, Drawing, Figure, PageData, Panel, Table
from fal_bench.reporting.panels.plotting import axis_format, layout, line_trace, marked_line
from fal_bench.reporting.targets import rounded

_TARGETS = 20


class RankByTarget(Panel):
    """The rank of every ranked strategy at targets from easy to hard."""

    key = "ranks"
    title = "Rank against target"
    order = 70
    folded = True
    strategies = 2
    lines = True

    def draw(self, data: PageData) -> Drawing:
        """Draw a line a strategy, rank 1 on top."""
        names = sorted(data.ranked)
        ranks = _places(data, names, _targets(data))
        targets = list(ranks)
        if not targets:
            return Drawing("No target between the first and the best curve tells them apart.")
        found = [ranks[target] for target in targets]
        asked = [board.context.target for board in data.boards if not board.context.ladder]
        text = (
            "Would another target have given another winner? Every strategy's rank, by the mean of "
            f"log {data.context.spent} over all tasks and seeds, at targets that at least one run "
            "reached. Rank 1 is on top; where lines cross, the order depends on the target."
        )
        table = Table(
            "Rank by target",
            ("Target", *names),
            [
                [
                    Cell(wording.value(target, data.context.metric), target),
                    *(Cell(str(one), one) for one in place),
                ]
                for target, place in zip(targets, found, strict=True)
            ],
        )
        return Drawing(
            text + (" Dashed: what was asked." if asked else ""),
            (_figure(data, names, targets, found, asked),),
            numbers=(table,),
        )


def _figure(
    data: PageData,
    names: Sequence[str],
    targets: Sequence[float],
    found: Sequence[Sequence[int]],
    asked: Sequence[float],
) -> Figure:
    form = axis_format(data.context)
    return Figure(
        "ranks-plot",
        f"Rank of every strategy, by target {wording.metric(data.context)}",
        [
            line_trace(
                name,
                data.styles[name],
                targets,
                [place[column] for place in found],
                mode="lines+markers",
                marker={"symbol": data.styles[name].marker, "size": 6},
                hovertemplate=f"rank %{{y}} at %{{x:{form}}}",
            )
            for column, name in enumerate(names)
        ],
        layout(
            f"Target {wording.metric(data.context)}, the same on all tasks",
            "Rank",
            xaxis={"tickformat": form},
            yaxis={"range": [len(names) + 0.5, 0.5], "tickvals": _ticks(len(names))},
            hovermode="closest",
            shapes=[marked_line("x", target, "dash") for target in asked],
        ),
    )


def _ticks(ranks: int) -> list[int]:
    """Return the ranks that are written on the axis: the first one, and steps that leave room."""
    step = 1 if ranks <= 12 else 5
    return sorted({1, *range(step, ranks + 1, step)})


def _targets(data: PageData) -> list[float]:
    """Return targets from the worst mean at the initial labels to the best one at the cap."""
    starts, ends = [], []
    for name in sorted(data.ranked):
        for facts in data.context.tasks:
            mine = [data.board.runs[facts.name, name, seed] for seed in data.context.seeds]
            start, end = np.mean([run.at([facts.grid[0], facts.cap]) for run in mine], axis=0)
            starts.append(float(start))
            ends.append(float(end))
    first, last = ([one for one in found if not np.isnan(one)] for found in (starts, ends))
    low, high = (min, max) if data.context.higher_is_better else (max, min)
    if not first or not last or high([low(first), high(last)]) == low(first):
        return []
    start, end = low(first), high(last)
    steps = np.linspace(start, end, _TARGETS + 2)[1:-1].tolist()
    return sorted({rounded(step, abs(end - start)) for step in steps})


def _places(
    data: PageData, names: Sequence[str], targets: Sequence[float]
) -> dict[float, list[int]]:
    """Return the ranks at every target that some run reaches."""
    if not targets:
        return {}
    rungs = [Rung(target) for target in targets]
    ladder, finals = Ladder.climb(data.board.runs, data.context, rungs, names), data.finals(names)
    steps = {target: ladder.at(place) for place, target in enumerate(targets)}
    return {
        target: places(names, step, finals)
        for target, step in steps.items()
        if any(one.reached.any() for one in step.spent.values())
    }
