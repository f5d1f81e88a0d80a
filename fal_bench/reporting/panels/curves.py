"""The learning curves: mean line, band of the seeds, targets and crossings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import DoubleArray
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board
from fal_bench.reporting.budgets import Reading
from fal_bench.reporting.context import Accounting, ReportContext, TaskFacts
from fal_bench.reporting.panels.base import (
    Cell,
    Drawing,
    Figure,
    PageData,
    Panel,
    Table,
    number,
)
from fal_bench.reporting.panels.plotting import (
    LineStyle,
    axis_format,
    drawn_name,
    label_axis,
    layout,
    line_trace,
    marked_line,
    plotted,
    spent_amount,
    spent_format,
    spent_title,
)

_BAND_OPACITY = 0.13
# Names of targets that are closer than this would be printed over each other.
_APART = 0.08
# Queries between two models of a run beyond which nothing was measured between them.
_FAR = 3
# Height of each figure, by how many there are.
_HEIGHTS = {1: 430, 2: 360}
_SMALL = 250

_CAP: Mapping[Accounting, str] = {
    "paper": "Dotted: the budget cap.",
    "strict": "Dotted: the budget cap, which limits paper labels.",
    "cost": "The budget cap limits labels, whatever they cost, so it has no place on the axis.",
}

Runs = Mapping[str, Sequence[Reading]]
"""The finished runs of a task by strategy."""


class Curves(Panel):
    """The learning curves of every task."""

    key = "curves"
    title = "Learning curves"
    order = 20
    strategies = 0
    lines = True

    def draw(self, data: PageData) -> Drawing:
        """Draw a figure a task."""
        runs = {facts.name: _runs_on(facts, data) for facts in data.context.tasks}
        drawn = [facts for facts in data.context.tasks if runs[facts.name]]
        figures = [
            _figure(place, facts, runs[facts.name], data) for place, facts in enumerate(drawn)
        ]
        text = (
            f"Line: mean {wording.metric(data.context)} of the global model over the seeds, with a "
            "point where it was measured. Band: lowest to highest seed, for chosen strategies. "
            "Dashed: the target; a tick on it marks where a run reached it. "
            f"{_CAP[data.context.accounting]}"
        )
        without = [facts for facts in data.context.tasks if not runs[facts.name]]
        parts = [_numbers(facts, runs[facts.name], data) for facts in drawn]
        return Drawing(
            " ".join([text, *(_nothing_drawn(facts, data.context) for facts in without)]),
            tuple(figures),
            numbers=tuple(parts),
        )


def _runs_on(facts: TaskFacts, data: PageData) -> dict[str, list[Reading]]:
    runs: dict[str, list[Reading]] = {}
    for (task, strategy, _), run in data.board.runs.items():
        if task == facts.name:
            runs.setdefault(strategy, []).append(run)
    return runs


def _nothing_drawn(facts: TaskFacts, context: ReportContext) -> str:
    """Say why a task has no curve: no run is finished, or those that are lack the metric."""
    reasons = {
        one.reason
        for one in context.missing
        if one.task == facts.name and (one.task, one.strategy, one.seed) in context.unrecorded
    }
    if not reasons:
        return f"No run of {facts.name} is finished."
    return f"Runs of {facts.name} are finished, but {'; '.join(sorted(reasons)).rstrip('.')}."


def label_price(facts: TaskFacts, board: Board) -> float:
    """Return what a label of a task counts for on the axis of a board.

    It is 1 where labels are counted. Where they are paid for, it is what a label up to the cap
    costs, in the median over the runs of the task.
    """
    if board.context.accounting != "cost":
        return 1.0
    costs = [
        run.caps["cost"]
        for (task, _, _), run in board.runs.items()
        if task == facts.name and "cost" in run.axes and run.values.size
    ]
    return float(np.median(costs)) / facts.cap if costs else 1.0


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
        Mean labels (or costs), shape (n_points,), and the metric of each run, shape
        (n_runs, n_points); NaN at looks of which a run has no model anywhere near, so that no line
        is drawn across them.
    """
    looks = _looks(facts)
    values = np.array([run.at(looks) for run in runs])
    shared = ~np.isnan(values).any(axis=0)
    far = _FAR * facts.query_labels
    near = np.array([_near(looks, run, far) for run in runs]).all(axis=0)

    def means(counted: Accounting) -> DoubleArray:
        labels = np.array([run.labels_at(looks, counted) for run in runs])
        return np.asarray(np.where(near, labels.mean(axis=0), np.nan)[shared], dtype=float)

    values = np.where(near, values, np.nan)[:, shared]
    # Labels that a strategy reads for itself may lie between two looks. Costs are those of the
    # strict labels, which say how far apart two models are.
    counted = means("strict" if accounting == "cost" else accounting)
    jumps = np.flatnonzero(np.diff(counted) > far) + 1
    return np.insert(means(accounting), jumps, np.nan), np.insert(values, jumps, np.nan, axis=1)


def _near(looks: Sequence[int], run: Reading, far: float) -> NDArray[np.bool_]:
    """Tell which looks have models of a run on both sides that are less than so far apart."""
    models = run.axes["paper"]
    after = np.searchsorted(models, looks, side="left").clip(0, max(models.size - 1, 0))
    before = (np.searchsorted(models, looks, side="right") - 1).clip(0)
    if not models.size:
        return np.zeros(len(looks), dtype=bool)
    return np.asarray(models[after] - models[before] < far, dtype=bool)


def _looks(facts: TaskFacts) -> list[int]:
    return [*facts.grid, facts.cap + facts.query_labels]


def _figure(place: int, facts: TaskFacts, runs: Runs, data: PageData) -> Figure:
    """Draw a band, a line and a row of crossing ticks a strategy, the targets, and the cap."""
    accounting, styles = data.context.accounting, data.styles
    amount = spent_amount(data.context)
    traces: list[dict[str, Any]] = []
    # External curves may lack the labels that make the axis; the table holds their accuracies.
    drawn = {
        name: mine for name, mine in runs.items() if all(accounting in run.axes for run in mine)
    }
    price = label_price(facts, data.board)
    first, last = price * facts.grid[0], price * (facts.cap + facts.query_labels)
    for name, mine in sorted(drawn.items()):
        labels, values = shared_points(facts, mine, accounting)
        first = float(np.nanmin(labels, initial=first))
        if len(mine) > 1:
            traces.append(_band(labels, values, styles[name]))
        # An imported curve that lies beyond every look has no models.
        ends = [float(run.axes[accounting][-1]) for run in mine if run.values.size]
        traces.append(
            line_trace(
                name, styles[name], labels.tolist(), values.mean(axis=0).tolist(),
                mode="lines+markers", marker={"symbol": styles[name].marker, "size": 7},
                meta={"reach": max(ends, default=0.0)},
                hovertemplate=f"%{{y:{axis_format(data.context, 1)}}} with {amount}",
            )
        )  # fmt: skip
        traces.append(_ticks(facts, mine, styles[name], data))
    small = len(data.context.tasks) > max(_HEIGHTS)
    margin = 0.04 * (last - first)
    targets = sorted(_targets(facts, data))
    # There is no room in small figures for names beside lines.
    cap = marked_line("x", facts.cap, "dot", "" if small else f"cap {facts.cap}")
    said = [wording.value(target, data.context.metric) for target in targets]
    title = f"{facts.name}, target {wording.listed(said)}" if small else facts.name
    lines = (
        [marked_line("y", target, "dash") for target in targets]
        if small
        else _target_lines(targets, drawn, data)
    )
    return Figure(
        f"curves-{place}",
        f"Learning curves of {facts.name}",
        traces,
        layout(
            spent_title(data.context),
            f"Test {wording.metric(data.context)}",
            hovermode="closest",
            meta=label_axis(last + margin, first - margin, 0.85 * first),
            xaxis={"tickformat": spent_format(data.context)},
            yaxis={"tickformat": axis_format(data.context)},
            shapes=[*lines, *([cap] if accounting != "cost" else [])],
            title={"text": drawn_name(title), "x": 0.02, "font": {"size": 14}},
            margin={"l": 56, "r": 14, "t": 36, "b": 48},
        ),
        height=_SMALL if small else _HEIGHTS[len(data.context.tasks)],
        task=facts.name,
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
    """Closed polygons, one a stretch: up along the highest values and back along the lowest."""
    x: list[float] = []
    y: list[float] = []
    gaps = np.flatnonzero(np.isnan(labels))
    for part in np.split(np.arange(labels.size), gaps):
        part = part[~np.isnan(labels[part])]
        high, low = values[:, part].max(axis=0), values[:, part].min(axis=0)
        x += [*labels[part], *labels[part][::-1], math.nan]
        y += [*high, *low[::-1], math.nan]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plotted(x[:-1]),
        "y": plotted(y[:-1]),
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
        "meta": {"part": "ticks"},
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
