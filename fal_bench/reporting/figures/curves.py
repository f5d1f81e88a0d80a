"""The learning curves of every task: mean over the seeds, the target, and the budget cap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fal_bench.errors import InvalidSpecError, one_line
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board
from fal_bench.reporting.budgets import Reading
from fal_bench.reporting.context import ReportContext, TaskFacts
from fal_bench.reporting.figures.paper import (
    FAINT,
    QUIET,
    Width,
    blank,
    label,
    legend_below,
    shown_strategies,
    styles,
)
from fal_bench.reporting.panels.curves import label_price, shared_points

MOST_TASKS: Final = 12
"""More tasks than these do not fit on a page."""

_BANDS = 3
"""With more strategies than these, bands would cover each other."""
_HEIGHTS: Final = {"column": 1.7, "page": 2.1}
# Labels read beyond the pool may be many times the cap; they would squeeze all others.
_LONGEST = 1.6


def draw(board: Board, width: Width) -> Any:
    """Draw a panel a task.

    Raises:
        InvalidSpecError: no run is finished, or there are more tasks than fit.
    """
    context, priced = board.context, board.context.accounting == "cost"
    tasks = [facts for facts in context.tasks if any(key[0] == facts.name for key in board.runs)]
    coloured, others = shown_strategies(board)
    if not tasks or not coloured:
        raise InvalidSpecError("There is no curve to draw: no strategy has all of its runs.")
    if len(tasks) > MOST_TASKS:
        raise InvalidSpecError(
            f"A figure has room for {MOST_TASKS} tasks, and these are {len(tasks)}; name one with "
            "--task."
        )
    columns = min(len(tasks), 1 if width == "column" else 2 if len(tasks) < 5 else 3)
    rows = math.ceil(len(tasks) / columns)
    figure = blank(width, 0.6 + _HEIGHTS[width] * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    handles: dict[str, Any] = {}
    for place, facts in enumerate(tasks):
        axes = grid[place // columns, place % columns]
        runs = {
            name: [run for key, run in board.runs.items() if key[:2] == (facts.name, name)]
            for name in (*others, *coloured)
        }
        price = label_price(facts, board)
        handles |= _panel(axes, facts, runs, coloured, context, price)
        if place % columns == 0:
            axes.set_ylabel(f"test {wording.metric(context)}")
        if place >= len(tasks) - columns:
            axes.set_xlabel("cost of labels" if priced else f"labels ({context.accounting})")
    for place in range(len(tasks), rows * columns):
        grid[place // columns, place % columns].set_axis_off()
    legend_below(figure, _legend(handles, coloured, others, cap=not priced), width)
    return figure


def _panel(
    axes: Any,
    facts: TaskFacts,
    runs: Mapping[str, Sequence[Reading]],
    coloured: Sequence[str],
    context: ReportContext,
    price: float,
) -> dict[str, Any]:
    """Draw the curves of a task; return the lines of the coloured strategies."""
    how = styles(coloured, context)
    lines = {}
    reach = price * (facts.cap + facts.query_labels)
    for name, mine in runs.items():
        if not mine or not all(context.accounting in run.axes for run in mine):
            continue  # imported curves may lack the labels that make the axis
        labels, values = shared_points(facts, mine, context.accounting)
        mean = values.mean(axis=0)
        if name not in how:
            axes.plot(labels, mean, color=FAINT, linewidth=0.7, zorder=1)
            continue
        reach = max(reach, float(labels.max(initial=0.0)))
        (lines[name],) = axes.plot(
            labels, mean, **how[name], markersize=2.5, label=label(name), zorder=3
        )
        if len(coloured) <= _BANDS and len(mine) > 1:
            axes.fill_between(
                labels, values.min(axis=0), values.max(axis=0),
                color=how[name]["color"], alpha=0.12, linewidth=0, zorder=2,
            )  # fmt: skip
    axes.set_xlim(0, 1.02 * min(reach, _LONGEST * price * facts.cap))
    _mark(axes, facts, context)
    return lines


def _mark(axes: Any, facts: TaskFacts, context: ReportContext) -> None:
    """Mark the targets and the cap, which limits labels, whatever they cost."""
    for rung in context.rungs:
        target = context.at(rung).target_on(facts.name)
        axes.axhline(target, color=QUIET, linewidth=0.5, linestyle="--", zorder=0)
    if context.accounting != "cost":
        axes.axvline(facts.cap, color=QUIET, linewidth=0.7, linestyle=":", zorder=0)
    if context.metric == "accuracy":
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_title(one_line(facts.name), loc="left")


def _legend(
    handles: Mapping[str, Any], coloured: Sequence[str], others: Sequence[str], *, cap: bool
) -> Any:
    from matplotlib.lines import Line2D

    shown = [handles[name] for name in coloured if name in handles]
    if others:
        more = f"{len(others)} others"
        shown.append(Line2D([], [], color=FAINT, linewidth=1, label=more))
    shown.append(Line2D([], [], color=QUIET, linewidth=0.7, linestyle="--", label="target"))
    if cap:
        shown.append(Line2D([], [], color=QUIET, linewidth=0.7, linestyle=":", label="budget cap"))
    return shown
