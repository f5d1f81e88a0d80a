"""What the figures of the page share: the lines of strategies, plotly's traces and layouts."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fal_bench.reporting.context import ReportContext

# Okabe and Ito (2008), safe for colour-blind readers. Black and yellow are left out, since each
# vanishes on one of the page's two backgrounds; grey is for all lines that are not chosen.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# The dash changes whenever the colours start again: 36 lines before a pair of both comes back.
# Markers move on by one more then, so that colour and marker are a pair of their own, too.
DASHES = ("", "7 3", "2 3", "7 3 2 3", "12 4", "12 3 2 3 2 3")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down")
# Colours of the page's own style sheet, which differ on its two backgrounds.
_TEXT, _BAND, _OTHERS = "var(--text)", "var(--band)", "var(--others)"

NEUTRAL = "#858585"
"""A grey that is seen on both backgrounds of the page."""

_SQUEEZED = 2.5
"""An axis becomes logarithmic where so many times its usual length are needed."""


@dataclass(frozen=True)
class LineStyle:
    """How a strategy is drawn.

    Attributes:
        colour: "#rrggbb", or a variable of the page's style sheet.
        dash: lengths of dashes and gaps in pixels, apart by spaces; empty for a solid line.
        marker: plotly's name of the marker.
        place: the strategy's place in the order of names; groups its traces in all figures.
        width: width of the line in pixels.
    """

    colour: str
    dash: str
    marker: str
    place: int
    width: float = 2

    @property
    def group(self) -> str:
        """Name of the group of traces that a reader shows or hides together."""
        return str(self.place)

    @property
    def plotly_dash(self) -> str:
        """The dash as plotly writes it."""
        return ",".join(f"{length}px" for length in self.dash.split()) or "solid"

    def faint(self, opacity: float) -> str:
        """Return the colour with an opacity."""
        if not self.colour.startswith("#"):
            return _BAND
        red, green, blue = (int(self.colour[start : start + 2], 16) for start in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


def line_styles(
    strategies: Iterable[str], chosen: Sequence[str], baseline: str = ""
) -> dict[str, LineStyle]:
    """Give every strategy its line, whatever order they come in.

    Chosen ones have colours of their own, in their order; the others are thin and grey. The
    baseline's is black (white on a dark page), dashed and wider: it is found among many. The page
    gives lines by the same rule once its reader chooses others.

    Args:
        strategies: all strategies.
        chosen: those in colour.
        baseline: what the others are compared with.
    """
    coloured = {name: number for number, name in enumerate(n for n in chosen if n != baseline)}
    styles = {}
    for place, name in enumerate(sorted(set(strategies))):
        if name == baseline:
            styles[name] = LineStyle(_TEXT, "5 3", MARKERS[0], place, width=3)
        elif name in coloured:
            number = coloured[name]
            again = number // len(COLOURS)
            styles[name] = LineStyle(
                COLOURS[number % len(COLOURS)],
                DASHES[again % len(DASHES)],
                MARKERS[(number + 2 * again) % len(MARKERS)],
                place,
            )
        else:
            styles[name] = LineStyle(_OTHERS, "", MARKERS[0], place, width=1)
    return styles


def axis_format(context: ReportContext, decimals: int = 0) -> str:
    """Return how plotly writes values of the metric: accuracies in percent."""
    return f".{decimals}%" if context.metric == "accuracy" else f".{decimals + 2}~g"


def spent_title(context: ReportContext, more: str = "") -> str:
    """Return the title of an axis of what was spent: "Labels to the target (strict)"."""
    if context.accounting == "cost":
        return f"Cost of labels{more}"
    return f"Labels{more} ({context.accounting})"


def spent_format(context: ReportContext) -> str:
    """Return how plotly writes what was spent: labels are whole numbers."""
    return ",~g" if context.accounting == "cost" else ",d"


def spent_amount(context: ReportContext) -> str:
    """Return what plotly says of what was spent at a point."""
    return "a cost of %{x:,.4~g}" if context.accounting == "cost" else "%{x:,.0f} labels"


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


def log_ticks(values: Sequence[float]) -> dict[str, Any]:
    """Return the ticks 1, 2, 5, 10, ... of a logarithmic axis that fits these values."""
    decades = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    return {"tickvals": [n * 10.0**d for d in decades for n in (1, 2, 5)], "tickformat": ",~g"}


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
