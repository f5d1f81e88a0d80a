"""What every figure of the page is made of."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fal_bench.report.styles import LineStyle

NEUTRAL = "#858585"
"""A grey that is seen on both backgrounds of the page."""

_SQUEEZED = 2.5
"""An axis becomes logarithmic where so many times its usual length are needed."""


@dataclass(frozen=True)
class Figure:
    """A figure in plotly's JSON; the page adds the colours of text, grid and background.

    Attributes:
        key: its id on the page.
        label: what it shows, for screen readers and file names.
        data: plotly's traces.
        layout: plotly's layout.
        height: height in pixels; None for the usual one.
        width: width in pixels below which it is scrolled instead of squeezed.
    """

    key: str
    label: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int | None = None
    width: int | None = None

    @property
    def content(self) -> dict[str, Any]:
        """What the page hands to plotly."""
        return {"data": self.data, "layout": self.layout}


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its words, and its number in full if it is one."""

    text: str
    number: float | None = None


@dataclass(frozen=True)
class Table:
    """The numbers behind a figure.

    Attributes:
        caption: what the table shows.
        headings: headings of the columns; the first column names the rows.
        rows: one list of cells a row, the first one its name.
    """

    caption: str
    headings: tuple[str, ...]
    rows: list[list[Cell]]


@dataclass(frozen=True)
class Panel:
    """A section of the page.

    Attributes:
        key: its id on the page.
        title: its heading.
        text: how to read it.
        figures: its figures; none if there is nothing to draw, which ``text`` then explains.
        table: the numbers behind them.
    """

    key: str
    title: str
    text: str
    figures: tuple[Figure, ...]
    table: Table | None


def number(value: float, text: str) -> Cell:
    """Return a cell with a number, to the digits that a drawing can show; "-" without one."""
    return Cell("-") if math.isnan(value) else Cell(text, float(f"{value:.6g}"))


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
