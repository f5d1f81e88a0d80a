"""Savings at every target of the ladder: does another target give another winner?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fal_bench.errors import InvalidSpecError
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board
from fal_bench.reporting.context import ReportContext, Rung
from fal_bench.reporting.figures.paper import (
    FAINT,
    Width,
    blank,
    label,
    legend_below,
    setting,
    shown_strategies,
    styles,
)
from fal_bench.reporting.leaderboard import Ladder, Saved, savings

_HEIGHT = 2.9
_APART = 0.07
"""Distance between strategies at one target, so that their intervals do not cover each other."""
_TIMES = 1.5
_DEEPEST = 0.4


def draw(board: Board, width: Width) -> Any:
    """Draw a line a strategy, with an interval at each target.

    Raises:
        InvalidSpecError: there is no ladder, or no saving on it.
    """
    context = board.context
    rungs = context.ladder or context.wider
    coloured, others = shown_strategies(board)
    found = _found(board, rungs, [*coloured, *others]) if len(rungs) > 1 else {}
    drawn = [name for name in coloured if name in found]
    if not drawn:
        raise InvalidSpecError(
            f"There is no saving against {context.baseline} over a ladder of targets to draw; "
            "compare it with another strategy, each with all of its runs."
        )
    figure = blank(width, _HEIGHT)
    axes = figure.add_subplot()
    axes.axhline(0, color="black", linewidth=1, linestyle=(0, (4, 2)))
    for name in others:
        if name in found:
            axes.plot([one.saving for one in found[name]], color=FAINT, linewidth=0.7, zorder=1)
    how = styles(coloured, context)
    handles = [
        _line(axes, name, found[name], how[name], _APART * (place - (len(drawn) - 1) / 2))
        for place, name in enumerate(drawn)
    ]
    axes.set_ylim(*_limits(found, drawn))
    axes.set_xticks(range(len(rungs)), [_rung(rung, context) for rung in rungs])
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:+.0f} %" if value else "0 %")
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(_axis(rungs, context))
    axes.set_ylabel(f"{context.spent} saved against {label(context.baseline)}")
    axes.set_title(setting(context), loc="left", fontsize=7.5)
    legend_below(figure, [*handles, *_grey(others)], width)
    return figure


def _found(
    board: Board, rungs: Sequence[Rung], strategies: Sequence[str]
) -> dict[str, list[Saved]]:
    """Return the savings of strategies at each target; none of those without pairs."""
    context = board.context
    ladder = Ladder.climb(board.runs, context, rungs, strategies)
    if context.baseline not in ladder.spent:
        return {}
    names = [
        name for name in ladder.spent if name != context.baseline and context.external(name) is None
    ]
    if not names:
        return {}
    steps = [
        savings(ladder.at(place), names, context.baseline, context.references)
        for place in range(len(rungs))
    ]
    return {name: [step[name] for step in steps] for name in names}


def _line(axes: Any, name: str, found: Sequence[Saved], how: dict[str, Any], shift: float) -> Any:
    places = [place + shift for place in range(len(found))]
    (line,) = axes.plot(
        places, [one.saving for one in found], **how, markersize=3, label=label(name), zorder=3
    )
    for place, one in zip(places, found, strict=True):
        if math.isfinite(one.low) and math.isfinite(one.high):
            axes.plot(
                [place, place], [one.low, one.high], color=how["color"], linewidth=0.8, zorder=2
            )
    return line


def _limits(found: Mapping[str, Sequence[Saved]], drawn: Sequence[str]) -> tuple[float, float]:
    """Return the ends of the axis: all of the savings, and no loss that would squeeze them."""
    ends = [
        value
        for name in drawn
        for one in found[name]
        for value in (one.saving, one.low, one.high)
        if math.isfinite(value)
    ]
    top = max([0.05, *ends])
    return max(min([-0.05, *ends]), -max(_DEEPEST, _TIMES * top)) - 0.02, top + 0.02


def _rung(rung: Rung, context: ReportContext) -> str:
    """Write a target; one that every task has of its own is a share of the baseline's rise."""
    if rung.name and len(context.tasks) > 1:
        return f"{rung.name.rpartition('-')[2]} %"
    value = dict(rung.by_task).get(context.task_names[0], rung.value)
    return wording.value(value, context.metric)


def _axis(rungs: Sequence[Rung], context: ReportContext) -> str:
    if rungs[0].name and len(context.tasks) > 1:
        return (
            f"target: share of the {wording.metric(context)} that {label(context.baseline)} gains"
        )
    return f"target {wording.metric(context)}"


def _grey(others: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    if not others:
        return []
    return [Line2D([], [], color=FAINT, linewidth=1, label=f"{len(others)} others")]
