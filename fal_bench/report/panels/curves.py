"""The learning curves: mean line, band of the seeds, targets and crossings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.report import wording
from fal_bench.report.budgets import GridRun, RunKey
from fal_bench.report.context import Accounting, ReportContext, TaskFacts
from fal_bench.report.panels.base import (
    Cell,
    Figure,
    Table,
    label_axis,
    layout,
    line_trace,
    marked_line,
    number,
    plotted,
)
from fal_bench.report.styles import LineStyle

_BAND_OPACITY = 0.13
# Names of targets that are closer than this would be printed over each other.
_APART = 0.08


@dataclass(frozen=True)
class MeanCurve:
    """The learning curve of a strategy on a task, over its finished runs.

    Attributes:
        labels: labels under the ranking accounting, mean over the runs, shape (n_points,).
        mean: mean accuracy, shape (n_points,).
        low: lowest accuracy of any run, shape (n_points,).
        high: highest accuracy of any run, shape (n_points,).
        runs: number of runs.
    """

    labels: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    runs: int


def mean_curve(runs: Sequence[GridRun], accounting: Accounting) -> MeanCurve:
    """Average runs at the points of the label grid and at the confirming point beyond the cap.

    Points that some run did not get to are left out: a mean over fewer runs would jump there.

    Args:
        runs: at least one run of one task.
        accounting: which labels make the axis.

    Returns:
        The mean curve, possibly without any point.
    """
    values = np.array([run.accuracy for run in runs])
    shared = ~np.isnan(values).any(axis=0)
    values = values[:, shared]
    return MeanCurve(
        np.array([run.axes[accounting] for run in runs])[:, shared].mean(axis=0),
        values.mean(axis=0),
        values.min(axis=0),
        values.max(axis=0),
        len(runs),
    )


def task_runs(runs: Mapping[RunKey, GridRun], task: str) -> dict[str, list[GridRun]]:
    """Return the finished runs of a task by strategy."""
    found: dict[str, list[GridRun]] = {}
    for (name, strategy, _), run in runs.items():
        if name == task:
            found.setdefault(strategy, []).append(run)
    return found


def curves_figure(
    place: int,
    facts: TaskFacts,
    runs: Mapping[str, Sequence[GridRun]],
    styles: Mapping[str, LineStyle],
    contexts: Sequence[ReportContext],
) -> Figure:
    """Draw the learning curves of one task.

    Args:
        place: number of the figure.
        facts: the task.
        runs: its finished runs by strategy.
        styles: the line of every strategy.
        contexts: the question for every target.

    Returns:
        A band, a line and a row of crossing ticks a strategy, a dashed line a target, and a dotted
        one at the cap.
    """
    accounting = contexts[0].accounting
    data: list[dict[str, Any]] = []
    # External curves may lack the labels that make the axis; the table holds their accuracies.
    drawn = {
        name: mine for name, mine in runs.items() if all(accounting in run.axes for run in mine)
    }
    for name in sorted(drawn):
        mine = drawn[name]
        curve = mean_curve(mine, accounting)
        if curve.runs > 1:
            data.append(_band(curve, styles[name]))
        marker = {"symbol": styles[name].marker, "size": 7}
        data.append(
            line_trace(
                name, styles[name], curve.labels.tolist(), curve.mean.tolist(),
                mode="lines+markers", marker=marker, meta={"reach": _reach(mine, accounting)},
                hovertemplate="%{y:.1%} with %{x:,.0f} labels",
            )
        )  # fmt: skip
        data.append(_ticks(facts, mine, styles[name], contexts))
    first, last = facts.grid[0], facts.cap + facts.query_labels
    margin = 0.04 * (last - first)
    targets = sorted(context.target_on(facts.name) for context in contexts)
    cap = marked_line("x", facts.cap, "dot", f"cap {facts.cap}")
    return Figure(
        f"curves-{place}",
        f"Learning curves of {facts.name}",
        data,
        layout(
            f"Labels ({accounting})",
            "Test accuracy",
            hovermode="closest",
            meta=label_axis(last + margin, first - margin, 0.85 * first),
            xaxis={"tickformat": ",d"},
            yaxis={"tickformat": ".0%"},
            shapes=[*_target_lines(targets, _half_way(drawn)), cap],
        ),
    )


def _reach(runs: Sequence[GridRun], accounting: Accounting) -> float:
    """Return how far to the right a strategy's line goes."""
    return max(float(run.axes[accounting][-1]) for run in runs)


def curves_table(
    facts: TaskFacts,
    runs: Mapping[str, Sequence[GridRun]],
    styles: Mapping[str, LineStyle],
) -> Table:
    """Return the mean accuracies at the label grid, one row a grid point."""
    names = [name for name in sorted(styles) if name in runs]
    points = [*facts.grid, facts.cap + facts.query_labels]
    values = {name: np.array([run.accuracy for run in runs[name]]) for name in names}
    means = {name: values[name].mean(axis=0) for name in names}
    return Table(
        f"Mean test accuracy on {facts.name} by paper labels; the last row only confirms",
        ("Paper labels", *names),
        [
            [Cell(str(point), point)]
            + [number(means[name][index], f"{100 * means[name][index]:.1f} %") for name in names]
            for index, point in enumerate(points)
        ],
    )


def _band(curve: MeanCurve, style: LineStyle) -> dict[str, Any]:
    """One closed polygon: up along the highest accuracies and back along the lowest."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plotted([*curve.labels, *curve.labels[::-1]]),
        "y": plotted([*curve.high, *curve.low[::-1]]),
        "legendgroup": style.group,
        "meta": {"part": "band"},
        "fill": "toself",
        "fillcolor": style.faint(_BAND_OPACITY),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _ticks(
    facts: TaskFacts,
    runs: Sequence[GridRun],
    style: LineStyle,
    contexts: Sequence[ReportContext],
) -> dict[str, Any]:
    """One upright tick on the target's line for every run that reached it."""
    crossings = [
        (budget.labels, context.target_on(facts.name))
        for context in contexts
        for run in runs
        for budget in [run.budget(context.target_on(facts.name)).interpolated[context.accounting]]
        if budget.reached
    ]
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


def _half_way(runs: Mapping[str, Sequence[GridRun]]) -> float:
    """Return the accuracy half-way between the beginning and the end of all curves."""
    values = np.array([run.accuracy for mine in runs.values() for run in mine])
    return float(np.nanmin(values) + np.nanmax(values)) / 2 if values.size else 0.0


def _target_lines(targets: Sequence[float], half_way: float) -> list[dict[str, Any]]:
    """Draw targets in rising order, their names where the curves are not.

    Curves rise: names of low targets stand on the right, of high ones on the left. Where two are
    close, the names stand side by side.
    """
    lines: list[dict[str, Any]] = []
    before, last = "", 0.0
    for target in targets:
        place = "end" if target < half_way else "start"
        if place == before and target - last < _APART:
            place = "middle"
        text = f"target {wording.percent(target)}"
        lines.append(marked_line("y", target, "dash", text, place))
        before, last = place, target
    return lines
