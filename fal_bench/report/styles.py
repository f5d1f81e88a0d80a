"""How strategies are drawn: the same line in every figure and next to every name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Okabe and Ito (2008), safe for colour-blind readers. Black and yellow are left out, since each
# vanishes on one of the page's two backgrounds; a grey visible on both stands in.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C")
# Six dashes against seven colours: 42 strategies before a pair of both comes back. Markers move on
# by one whenever the colours start again, so that colour and marker are a pair of their own, too.
_DASHES = ("", "7 3", "2 3", "7 3 2 3", "12 4", "12 3 2 3 2 3")
_MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down")
# Colours of the page's own style sheet, which differ on its two backgrounds.
_TEXT, _BAND = "var(--text)", "var(--band)"


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
        if self.colour == _TEXT:
            return _BAND
        red, green, blue = (int(self.colour[start : start + 2], 16) for start in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


def line_styles(strategies: Iterable[str], baseline: str = "") -> dict[str, LineStyle]:
    """Give every strategy its line, in the order of names, whatever order they come in.

    The baseline's is black (white on a dark page), dashed and wider: it is found among many.
    """
    styles = {}
    number = 0
    for place, name in enumerate(sorted(set(strategies))):
        if name == baseline:
            styles[name] = LineStyle(_TEXT, "5 3", _MARKERS[0], place, width=3)
            continue
        styles[name] = LineStyle(
            COLOURS[number % len(COLOURS)],
            _DASHES[number % len(_DASHES)],
            _MARKERS[(number + number // len(COLOURS)) % len(_MARKERS)],
            place,
        )
        number += 1
    return styles
