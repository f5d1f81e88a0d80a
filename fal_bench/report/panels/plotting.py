"""Plotly's traces and layouts, as the figures of the page share them."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

from fal_bench.report.context import ReportContext
from fal_bench.report.styles import LineStyle

NEUTRAL = "#858585"
"""A grey that is seen on both backgrounds of the page."""

_SQUEEZED = 2.5
"""An axis becomes logarithmic where so many times its usual length are needed."""


def axis_format(context: ReportContext, decimals: int = 0) -> str:
    """Return how plotly writes values of the metric: accuracies in percent."""
    return f".{decimals}%" if context.metric == "accuracy" else f".{decimals + 2}~g"


def plotted(values: Iterable[float]) -> list[float | None]:
    """Return numbers with as many digits as a drawing can show; None where there is none."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


def drawn_name(name: str) -> str:
    """Escape a name for plotly, which reads a subset of HTML in names and labels."""
    return html.escape(name, quote=False)


def line_trace(
    name: str, style: LineStyle, x: Sequence[float], y: Sequence[float], **more: Any
) -> dict[str, Any]:
    """Return the line of a strategy; keys of its line add to it."""
    line = {"color": style.colour, "width": style.width, "dash": style.plotly_dash}
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plotted(x),
        "y": plotted(y),
        "name": drawn_name(name),
        "legendgroup": style.group,
        **more,
        "line": {**line, **more.get("line", {})},
    }


def layout(x: str, y: str, **more: Any) -> dict[str, Any]:
    """Return a layout with titled axes; other keys override it, those of axes add to it."""
    x_axis = {"title": {"text": x}, "zeroline": False, "automargin": True, **more.pop("xaxis", {})}
    y_axis = {"title": {"text": y}, "zeroline": False, "automargin": True, **more.pop("yaxis", {})}
    return {
        "autosize": True,
        "margin": {"l": 56, "r": 14, "t": 30, "b": 52},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "hoverlabel": {"namelength": -1},
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "xaxis": x_axis,
        "yaxis": y_axis,
        **more,
    }


def label_axis(usual: float, start: float, log_start: float) -> dict[str, Any]:
    """Describe an axis of labels that fits the strategies shown, whichever these are.

    The page draws it up to the furthest of them, by the ``reach`` of their lines: logarithmic if
    one of them would squeeze all others.

    Args:
        usual: the largest value without labels read beyond the query pool.
        start: where a linear axis begins.
        log_start: where a logarithmic one does.
    """
    return {"usual": usual, "start": start, "log_start": log_start, "squeezed": _SQUEEZED}


def marked_line(
    axis: str, value: float, dash: str, text: str = "", place: str = "end"
) -> dict[str, Any]:
    """Return a straight line across the whole figure, with its name on it.

    Args:
        axis: the axis that has the value, "x" or "y".
        value: where it is.
        dash: plotly's name of the dash.
        text: its name.
        place: where on the line the name stands: "start", "middle" or "end".
    """
    sides = {"start": "left", "middle": "center", "end": "right"}
    label = {"text": text, "textposition": place, "textangle": 0, "padding": 3}
    if axis == "y":
        label |= {"xanchor": sides[place], "yanchor": "bottom"}
    along = "y" if axis == "x" else "x"
    return {
        "type": "line",
        f"{axis}0": value,
        f"{axis}1": value,
        f"{along}ref": "paper",
        f"{along}0": 0,
        f"{along}1": 1,
        "layer": "below",
        "line": {"dash": dash, "width": 1.5, "color": NEUTRAL},
        **({"label": label} if text else {}),
    }


def bar_height(bars: int) -> int:
    """Return a height in pixels that leaves every bar of a chart its room."""
    return 110 + 30 * bars
