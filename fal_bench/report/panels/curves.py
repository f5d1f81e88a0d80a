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
    NEUTRAL,
    Cell,
    Figure,
    Table,
    label_axis,
    layout,
    line_trace,
    number,
    plotted,
)
from fal_bench.report.styles import LineStyle

_BAND_OPACITY = 0.13


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
        A band, a line and a row of crossing ticks a strategy, and a dashed line a target.
    """
    accounting = contexts[0].accounting
    data: list[dict[str, Any]] = []
    # External curves may lack the labels that make the axis; the table holds their accuracies.
    drawn = {
        name: mine for name, mine in runs.items() if all(accounting in run.axes for run in mine)
    }
    ends = [float(run.axes[accounting][-1]) for mine in drawn.values() for run in mine]
    for name in sorted(drawn):
        mine = drawn[name]
        curve = mean_curve(mine, accounting)
        if curve.runs > 1:
            data.append(_band(curve, styles[name]))
        marker = {"symbol": styles[name].marker, "size": 7}
        data.append(
            line_trace(
                name, styles[name], curve.labels.tolist(), curve.mean.tolist(),
                mode="lines+markers", marker=marker, hovertemplate="%{y:.1%}",
            )
        )  # fmt: skip
        data.append(_ticks(facts, mine, styles[name], contexts))
    return Figure(
        f"curves-{place}",
        f"Learning curves of {facts.name}",
        data,
        layout(
            f"Labels ({accounting})",
            "Test accuracy",
            hovermode="x unified",
            xaxis={"tickformat": ",d", **label_axis(max(ends, default=facts.cap), facts.cap)},
            yaxis={"tickformat": ".0%"},
            shapes=[_target_line(context.target_on(facts.name)) for context in contexts],
            annotations=[_target_name(context.target_on(facts.name)) for context in contexts],
        ),
    )


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


def _target_line(target: float) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": target,
        "y1": target,
        "line": {"dash": "dash", "width": 1.5, "color": NEUTRAL},
    }


def _target_name(target: float) -> dict[str, Any]:
    return {
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "y": target,
        "yanchor": "bottom",
        "text": f"target {wording.percent(target)}",
        "showarrow": False,
    }
