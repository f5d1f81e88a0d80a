"""The learning curves: mean line, band of the seeds, targets and crossings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fal_bench.arrays import DoubleArray
from fal_bench.reporting import wording
from fal_bench.reporting.budgets import Reading
from fal_bench.reporting.context import Accounting, ReportContext, TaskFacts
from fal_bench.reporting.panels.base import (
    Cell,
    Drawing,
    Figure,
    Heading,
    PageData,
    Panel,
    Table,
    number,
)
from fal_bench.reporting.panels.plotting import (
    LineStyle,
    axis_format,
    label_axis,
    layout,
    line_trace,
    marked_line,
    plotted,
)

_BAND_OPACITY = 0.13
# Names of targets that are closer than this would be printed over each other.
_APART = 0.08

Runs = Mapping[str, Sequence[Reading]]
"""The finished runs of a task by strategy."""


class Curves(Panel):
    """The learning curves of every task, and the results on it."""

    key = "curves"
    title = "Learning curves"
    order = 10
    strategies = 0
    lines = True

    def draw(self, data: PageData) -> Drawing:
        """Draw a part a task."""
        parts = tuple(_part(place, facts, data) for place, facts in enumerate(data.context.tasks))
        first = len(data.leading) < len(data.styles)
        strict = data.context.accounting == "strict"
        text = (
            f"Line: mean {wording.metric(data.context)} of the global model over the seeds. Band: "
            f"lowest to highest seed{', for the strategies shown at first' * first}. Dashed grey "
            "line: the target; a tick on it marks where a run crossed it. Dotted: the budget cap"
            f"{', which limits paper labels' * strict}; a point one query beyond it only confirms."
        )
        return Drawing(text, parts=parts)


def _part(place: int, facts: TaskFacts, data: PageData) -> Drawing:
    runs: dict[str, list[Reading]] = {}
    for (task, strategy, _), run in data.board.runs.items():
        if task == facts.name:
            runs.setdefault(strategy, []).append(run)
    text = facts.description
    if not runs:
        text += f"{' ' if text else ''}{_nothing_drawn(facts, data.context)}"
    return Drawing(
        text,
        (_figure(place, facts, runs, data),) if runs else (),
        tables=(_results(facts, data),),
        numbers=_numbers(facts, runs, data) if runs else None,
        heading=facts.name,
    )


def _nothing_drawn(facts: TaskFacts, context: ReportContext) -> str:
    """Say why a task has no curve: no run is finished, or those that are lack the metric."""
    reasons = {
        one.reason
        for one in context.missing
        if one.task == facts.name and (one.task, one.strategy, one.seed) in context.unrecorded
    }
    if not reasons:
        return "No run of this task is finished."
    return f"Runs of this task are finished, but {'; '.join(sorted(reasons)).rstrip('.')}."


def _results(facts: TaskFacts, data: PageData) -> Table:
    """Return what every strategy came to on a task."""
    context = data.context
    target = wording.value(context.target_on(facts.name), context.metric)
    return Table(
        f"Results on {facts.name}, target {target}",
        (
            "Strategy",
            Heading("Runs reached", more_is_better=True),
            f"Mean labels ({context.accounting})",
            Heading(
                f"{wording.metric(context).capitalize()} at the cap",
                more_is_better=context.higher_is_better,
            ),
        ),
        [_result(facts.name, name, style, data) for name, style in sorted(data.styles.items())],
        kind="results",
    )


def _result(task: str, name: str, style: LineStyle, data: PageData) -> list[Cell]:
    accounting, expected = data.context.accounting, len(data.context.seeds_of(name, task))
    runs = [run for key, run in data.board.budgets.items() if key[:2] == (task, name)]
    known = [run.interpolated[accounting] for run in runs if accounting in run.interpolated]
    reached = sum(run.interpolated["paper"].reached for run in runs)
    lacking = f" ({expected - len(runs)} missing)" if len(runs) < expected else ""
    labels = _mean([run.labels for run in known])
    final = _mean([run.accuracy_at_cap for run in runs])
    return [
        Cell(name, style=style),
        Cell(f"{reached}/{len(runs)}{lacking}", reached),
        _cell(labels, wording.budget(labels, reached, len(runs))),
        _cell(final, wording.measured(final, data.context.metric)),
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _cell(value: float, text: str) -> Cell:
    """Return a cell with its number in full."""
    return Cell(text, value) if text else Cell("-")


def shared_points(
    facts: TaskFacts, runs: Sequence[Reading], accounting: Accounting
) -> tuple[DoubleArray, DoubleArray]:
    """Return the looks, and the confirming one, that all of these runs got to.

    A run is read on the straight lines between its models, so that runs that buy in uneven portions
    can be averaged. A mean over the runs that got to the others would jump there.

    Args:
        facts: the task.
        runs: at least one run of it.
        accounting: which labels make the axis.

    Returns:
        Mean labels, shape (n_points,), and the metric of each run, shape (n_runs, n_points).
    """
    looks = _looks(facts)
    values = np.array([run.at(looks) for run in runs])
    shared = ~np.isnan(values).any(axis=0)
    labels = np.array([run.labels_at(looks, accounting) for run in runs])
    return labels[:, shared].mean(axis=0), values[:, shared]


def _looks(facts: TaskFacts) -> list[int]:
    return [*facts.grid, facts.cap + facts.query_labels]


def _figure(place: int, facts: TaskFacts, runs: Runs, data: PageData) -> Figure:
    """Draw a band, a line and a row of crossing ticks a strategy, the targets, and the cap."""
    accounting, styles = data.context.accounting, data.styles
    traces: list[dict[str, Any]] = []
    # External curves may lack the labels that make the axis; the table holds their accuracies.
    drawn = {
        name: mine for name, mine in runs.items() if all(accounting in run.axes for run in mine)
    }
    for name, mine in sorted(drawn.items()):
        labels, values = shared_points(facts, mine, accounting)
        if len(mine) > 1:
            traces.append(_band(labels, values, styles[name]))
        reach = max(float(run.axes[accounting][-1]) for run in mine)
        traces.append(
            line_trace(
                name, styles[name], labels.tolist(), values.mean(axis=0).tolist(),
                mode="lines+markers", marker={"symbol": styles[name].marker, "size": 7},
                meta={"reach": reach},
                hovertemplate=f"%{{y:{axis_format(data.context, 1)}}} with %{{x:,.0f}} labels",
            )
        )  # fmt: skip
        traces.append(_ticks(facts, mine, styles[name], data))
    first, last = facts.grid[0], facts.cap + facts.query_labels
    margin = 0.04 * (last - first)
    targets = sorted(_targets(facts, data))
    cap = marked_line("x", facts.cap, "dot", f"cap {facts.cap}")
    return Figure(
        f"curves-{place}",
        f"Learning curves of {facts.name}",
        traces,
        layout(
            f"Labels ({accounting})",
            f"Test {wording.metric(data.context)}",
            hovermode="closest",
            meta=label_axis(last + margin, first - margin, 0.85 * first),
            xaxis={"tickformat": ",d"},
            yaxis={"tickformat": axis_format(data.context)},
            shapes=[*_target_lines(targets, drawn, data), cap],
        ),
    )


def _numbers(facts: TaskFacts, runs: Runs, data: PageData) -> Table:
    """Return the mean values at the looks, one row a look."""
    names = [name for name in sorted(data.styles) if name in runs]
    points = _looks(facts)
    means = {name: np.mean([run.at(points) for run in runs[name]], axis=0) for name in names}
    metric = data.context.metric
    return Table(
        f"Mean test {wording.metric(data.context)} on {facts.name} by paper labels; "
        "the last row only confirms",
        ("Paper labels", *names),
        [
            [Cell(str(point), point)]
            + [
                number(float(means[name][index]), wording.measured(means[name][index], metric))
                for name in names
            ]
            for index, point in enumerate(points)
        ],
    )


def _band(labels: DoubleArray, values: DoubleArray, style: LineStyle) -> dict[str, Any]:
    """One closed polygon: up along the highest values and back along the lowest."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plotted([*labels, *labels[::-1]]),
        "y": plotted([*values.max(axis=0), *values.min(axis=0)[::-1]]),
        "legendgroup": style.group,
        "meta": {"part": "band"},
        "fill": "toself",
        "fillcolor": style.faint(_BAND_OPACITY),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _ticks(
    facts: TaskFacts, runs: Sequence[Reading], style: LineStyle, data: PageData
) -> dict[str, Any]:
    """One upright tick on the target's line for every run that reached it."""
    accounting, crossings = data.context.accounting, []
    for target in _targets(facts, data):
        budgets = [run.budget(target).interpolated[accounting] for run in runs]
        crossings += [(budget.labels, target) for budget in budgets if budget.reached]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plotted(labels for labels, _ in crossings),
        "y": plotted(target for _, target in crossings),
        "legendgroup": style.group,
        "marker": {
            "symbol": "line-ns-open",
            "size": 13,
            "color": style.colour,
            "line": {"width": 2, "color": style.colour},
        },
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _targets(facts: TaskFacts, data: PageData) -> list[float]:
    """Return the targets of all boards on a task, the middle one of a ladder."""
    return [board.context.target_on(facts.name) for board in data.boards]


def _target_lines(targets: Sequence[float], runs: Runs, data: PageData) -> list[dict[str, Any]]:
    """Draw targets in rising order, their names where the curves are not.

    Where curves rise, names of low targets stand on the right, of high ones on the left. Where two
    are close, the names stand side by side.
    """
    found = [run.values for mine in runs.values() for run in mine]
    values = np.concatenate([np.zeros(0), *found])
    half_way = float(np.nanmin(values) + np.nanmax(values)) / 2 if values.size else 0.0
    sides = ("end", "start") if data.context.higher_is_better else ("start", "end")
    lines: list[dict[str, Any]] = []
    before, last = "", 0.0
    for target in targets:
        place = sides[target >= half_way]
        if place == before and target - last < _APART:
            place = "middle"
        text = f"target {wording.value(target, data.context.metric)}"
        lines.append(marked_line("y", target, "dash", text, place))
        before, last = place, target
    return lines
