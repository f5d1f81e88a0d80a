"""Savings of every strategy against every other one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fal_bench.reporting import wording
from fal_bench.reporting.leaderboard import LEVEL
from fal_bench.reporting.own_runs import own_stream
from fal_bench.reporting.panels.base import Cell, Drawing, Figure, PageData, Panel, Table
from fal_bench.reporting.panels.plotting import drawn_name, layout, plotted
from fal_bench.stats import FEWEST_SEEDS, saving, simultaneous_intervals

# Blue saves and vermilion costs, the pair of Okabe and Ito that colour-blind readers tell apart
# best; the middle is transparent, so that it fits both backgrounds.
_SCALE = [
    [0, "rgba(213,94,0,0.7)"],
    [0.3, "rgba(213,94,0,0.32)"],
    [0.5, "rgba(133,133,133,0.03)"],
    [0.7, "rgba(0,114,178,0.32)"],
    [1, "rgba(0,114,178,0.7)"],
]
_NOT_COMPARABLE = "rgba(133,133,133,0.45)"
# One strategy that needs many times the labels of the others would leave these without a colour.
_STRONGEST = 0.5
_MOST_NUMBERS = 12
# What a field, one with a number in it, and a name take, in pixels: a figure that has less room is
# scrolled.
_FIELD, _NUMBER, _NAMES = 18, 40, 190


@dataclass(frozen=True)
class _Saving:
    value: float
    low: float
    high: float

    def turned(self) -> _Saving:
        """The same comparison seen from the other side."""
        return _Saving(*(1 - 1 / (1 - bound) for bound in (self.value, self.high, self.low)))

    def text(self) -> str:
        return wording.signed(self.value) or "n/c"

    def cell(self) -> Cell:
        number = None if math.isnan(self.value) else self.value
        return Cell(wording.bracketed(self.text(), self.low, self.high), number)


Savings = Mapping[tuple[str, str], _Saving]


class Pairwise(Panel):
    """The paired savings between all strategies that are ranked and were measured here."""

    key = "pairwise"
    title = "Pairwise savings"
    order = 30
    strategies = 2
    own = True
    scope = "target"

    def draw(self, data: PageData) -> Drawing:
        """Draw a field a pair."""
        names, savings = data.own, _all_savings(data)
        known = len(data.context.seeds) >= FEWEST_SEEDS
        text = (
            f"Share of {data.context.spent} that the strategy of a row saves against that of a "
            "column, over runs of the same task and seed; a plus (blue) is a saving, a minus "
            "(orange) a loss, n/c (grey, crossed) not comparable. "
        )
        text += (
            "The 95 % intervals in the table hold for all pairs at once; ranks follow from them."
            if known
            else f"Intervals take {FEWEST_SEEDS} seeds."
        )
        table = Table(
            f"Savings of every pair, row against column{', with 95 % intervals' * known}",
            ("Strategy", *names),
            [
                [Cell(row)]
                + [Cell("") if row == column else savings[row, column].cell() for column in names]
                for row in names
            ],
        )
        return Drawing(text, (_figure(names, savings),), numbers=(table,))


def _figure(names: Sequence[str], savings: Savings) -> Figure:
    field = _NUMBER if len(names) <= _MOST_NUMBERS else _FIELD
    return Figure(
        "pairwise-plot",
        "Saving of the row's strategy against the column's",
        [_heatmap(names, savings), *_crosses(names, savings)],
        layout(
            "",
            "",
            xaxis={"side": "top", "tickangle": _angle(len(names)), **_axis(names)},
            yaxis={**_axis(names), "range": [len(names) - 0.5, -0.5]},
            margin={"l": 20, "r": 14, "t": 20, "b": 14},
            hovermode="closest",
        ),
        height=180 + max(field * len(names), 120),
        width=_NAMES + field * len(names),
    )


def _all_savings(data: PageData) -> Savings:
    ladder = data.board.ladder
    pairs = list(itertools.combinations(data.own, 2))
    differences = np.array([ladder.differences(*pair) for pair in pairs])
    found = simultaneous_intervals(differences, own_stream(), level=LEVEL)
    savings = {}
    for (one, other), *ends in zip(pairs, found.means, found.high, found.low, strict=True):
        mean, low, high = (saving(end) for end in ends)
        censored = ladder.censored(one, other)
        understated, harmless = censored.saving_understated, not censored.harm_understated
        shut = math.isfinite(low)
        entry = _Saving(
            mean if harmless or not understated else math.nan,
            low if shut and harmless else math.nan,
            high if shut and not understated else math.nan,
        )
        savings[one, other], savings[other, one] = entry, entry.turned()
    return savings


def _angle(columns: int) -> int:
    """Return how the names of columns are turned, so that they do not overlap."""
    if columns > 20:
        return -90
    return -45 if columns > 5 else 0


def _axis(ranked: Sequence[str]) -> dict[str, Any]:
    """Return an axis that names every strategy, in this order."""
    names = [drawn_name(name) for name in ranked]
    order = {"categoryorder": "array", "categoryarray": names}
    return {"showgrid": False, "dtick": 1, "range": [-0.5, len(ranked) - 0.5], **order}


def _crosses(ranked: Sequence[str], savings: Savings) -> list[dict[str, Any]]:
    """Return grey, crossed fields for the pairs that cannot be compared, unlike the diagonal.

    The pointer passes through them to the fields below, which alone say what they are.
    """
    names = [drawn_name(name) for name in ranked]
    unknown = [
        [row != column and math.isnan(savings[row, column].value) for column in ranked]
        for row in ranked
    ]
    pairs = [
        (names[row], names[column])
        for row, line in enumerate(unknown)
        for column, one in enumerate(line)
        if one
    ]
    if not pairs:
        return []
    field = {"colorscale": [[0, _NOT_COMPARABLE], [1, _NOT_COMPARABLE]], "showscale": False}
    cross = {"symbol": "x-thin", "size": 7, "line": {"width": 1, "color": "var(--text)"}}
    z = [[1 if one else None for one in line] for line in unknown]
    shared = {"hoverinfo": "skip"}
    return [
        {
            "type": "heatmap", "x": names, "y": names, "z": z, "xgap": 2, "ygap": 2,
            **field, **shared,
        },
        {
            "type": "scatter", "mode": "markers", "marker": cross,
            "x": [column for _, column in pairs], "y": [row for row, _ in pairs], **shared,
        },
    ]  # fmt: skip


def _heatmap(ranked: Sequence[str], savings: Savings) -> dict[str, Any]:
    """Return a field for every pair, the diagonal included, each with what a pointer reads."""
    values = [
        [math.nan if row == column else savings[row, column].value for column in ranked]
        for row in ranked
    ]
    known = [abs(value) for row in values for value in row if not math.isnan(value)]
    extent = min(_STRONGEST, max([0.1, *known]))
    names = [drawn_name(name) for name in ranked]
    cells = [
        [None if row == column else savings[row, column] for column in ranked] for row in ranked
    ]
    said = [
        [
            f"{drawn_name(row)}, against itself"
            if cell is None
            else f"{drawn_name(row)} against {drawn_name(column)}: {cell.cell().text}"
            for column, cell in zip(ranked, line, strict=True)
        ]
        for row, line in zip(ranked, cells, strict=True)
    ]
    return {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": [plotted(row) for row in values],
        "text": [
            ["" if cell is None or math.isnan(cell.value) else cell.text() for cell in line]
            for line in cells
        ],
        "texttemplate": "%{text}" if len(ranked) <= _MOST_NUMBERS else "",
        "zmin": -extent,
        "zmax": extent,
        "colorscale": _SCALE,
        "showscale": True,
        "colorbar": _bar(extent, clipped=max(known, default=0.0) > extent),
        "textfont": {"color": "var(--text)"},
        "hoverongaps": True,
        "xgap": 2,
        "ygap": 2,
        "customdata": said,
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _bar(extent: float, *, clipped: bool) -> dict[str, Any]:
    """Return the key of the colours, which says where stronger ones are not told apart."""
    ends = (" or less", " or more") if clipped else ("", "")
    size = 100 * extent
    return {
        "orientation": "h",
        "x": 0.5,
        "y": -0.01,
        "yanchor": "top",
        "len": 0.7,
        "thickness": 12,
        "outlinewidth": 0,
        "tickvals": [-extent, 0, extent],
        "ticktext": [f"-{size:.0f} %{ends[0]}", "0 %", f"+{size:.0f} %{ends[1]}"],
        "ticklabeloverflow": "allow",
    }
