"""The learning curves as plotly figures: mean line, band of the seeds and target."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fal_bench.report.context import ReportContext, TaskFacts
from fal_bench.report.wording import percent
from fal_bench.stats import read_at_grid

# Okabe and Ito (2008), safe for colour-blind readers. Black and yellow are left out, since each
# vanishes on one of the page's two backgrounds; a grey visible on both stands in.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C")
# Six dashes against seven colours: 42 strategies before a pair of both comes back.
_DASHES = ("", "7 3", "2 3", "7 3 2 3", "12 4", "12 3 2 3 2 3")
_MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down")
_BAND_OPACITY = 0.13
_NEUTRAL = "#858585"


@dataclass(frozen=True)
class LineStyle:
    """How a strategy is drawn, in every figure and next to its name.

    Attributes:
        colour: "#rrggbb".
        dash: lengths of dashes and gaps in pixels, apart by spaces; empty for a solid line.
        marker: plotly's name of the marker.
    """

    colour: str
    dash: str
    marker: str


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


def line_styles(strategies: Iterable[str]) -> dict[str, LineStyle]:
    """Give every strategy its line, in the order of names, whatever order they come in."""
    return {
        name: LineStyle(
            _COLOURS[place % len(_COLOURS)],
            _DASHES[place % len(_DASHES)],
            _MARKERS[place % len(_MARKERS)],
        )
        for place, name in enumerate(sorted(set(strategies)))
    }


def mean_curve(runs: Sequence[pd.DataFrame], facts: TaskFacts, accounting: str) -> MeanCurve:
    """Average runs at the points of the label grid and at the confirming point beyond the cap.

    Points that some run did not get to are left out: a mean over fewer runs would jump there.

    Args:
        runs: one curve a run, one row a cycle in order of cycles; at least one run.
        facts: the task of the runs.
        accounting: which labels make the axis.

    Returns:
        The mean curve, possibly without any point.
    """
    grid = np.array([*facts.grid, facts.cap + facts.query_labels], dtype=float)
    accuracy, labels = [], []
    for run in runs:
        paper = run["labels"].to_numpy(dtype=float)
        accuracy.append(read_at_grid(paper, run["accuracy"].to_numpy(dtype=float), grid))
        beyond = np.zeros_like(grid)
        if accounting == "strict":
            beyond = read_at_grid(paper, run["labels_strict"].to_numpy(dtype=float) - paper, grid)
        labels.append(grid + beyond)
    values = np.array(accuracy)
    shared = ~np.isnan(values).any(axis=0)
    values = values[:, shared]
    return MeanCurve(
        np.array(labels)[:, shared].mean(axis=0),
        values.mean(axis=0),
        values.min(axis=0),
        values.max(axis=0),
        len(runs),
    )


def task_figure(
    curves: dict[str, MeanCurve], styles: dict[str, LineStyle], context: ReportContext
) -> dict[str, Any]:
    """Draw the learning curves of one task.

    Colours of text, grid and background are left to the page, which follows the reader's theme.

    Args:
        curves: the mean curve of every strategy with a finished run.
        styles: the line of every strategy.
        context: the question, for target and accounting.

    Returns:
        The figure as plotly's JSON object: a band and a line a strategy, which carry the
        strategy's place in the order of names as ``legendgroup``.
    """
    import plotly.graph_objects as go
    import plotly.io

    figure = go.Figure()
    order = sorted(styles)
    for name in sorted(curves):
        group = str(order.index(name))
        if curves[name].runs > 1:
            figure.add_trace(_band(curves[name], styles[name], group))
        figure.add_trace(_line(name, curves[name], styles[name], group))
    target = {"dash": "dash", "width": 1.5, "color": _NEUTRAL}
    figure.add_hline(
        y=context.target,
        line=target,
        annotation_text=f"target {percent(context.target)}",
        annotation_position="top left",
    )
    figure.update_layout(
        template=go.layout.Template(),
        autosize=True,
        margin={"l": 56, "r": 12, "t": 34, "b": 52},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
        hovermode="x unified",
        hoverlabel={"namelength": -1},
        modebar={"bgcolor": "rgba(0,0,0,0)"},
        font={"family": "system-ui, sans-serif", "size": 13},
        xaxis={
            "title": {"text": f"Labels ({context.accounting})"},
            "zeroline": False,
            "spikethickness": 1,
        },
        yaxis={"title": {"text": "Test accuracy"}, "tickformat": ".0%", "zeroline": False},
    )
    # The engine is pinned because another JSON library, if installed, would write other bytes.
    drawn: dict[str, Any] = json.loads(plotly.io.to_json(figure, engine="json"))
    return drawn


def _line(name: str, curve: MeanCurve, style: LineStyle, group: str) -> Any:
    import plotly.graph_objects as go

    return go.Scatter(
        x=curve.labels.tolist(),
        y=curve.mean.tolist(),
        # plotly reads a subset of HTML in names.
        name=html.escape(name, quote=False),
        legendgroup=group,
        mode="lines+markers",
        line={"color": style.colour, "width": 2, "dash": _plotly_dash(style.dash)},
        marker={"symbol": style.marker, "size": 7},
        hovertemplate="%{y:.1%}",
    )


def _band(curve: MeanCurve, style: LineStyle, group: str) -> Any:
    """One closed polygon: up along the highest accuracies and back along the lowest."""
    import plotly.graph_objects as go

    red, green, blue = (int(style.colour[i : i + 2], 16) for i in (1, 3, 5))
    return go.Scatter(
        x=[*curve.labels.tolist(), *curve.labels[::-1].tolist()],
        y=[*curve.high.tolist(), *curve.low[::-1].tolist()],
        legendgroup=group,
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},{_BAND_OPACITY})",
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def _plotly_dash(dash: str) -> str:
    return ",".join(f"{length}px" for length in dash.split()) or "solid"
