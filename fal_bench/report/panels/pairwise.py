"""Savings of every strategy against every other one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fal_bench.report.budgets import RunBudget, RunKey
from fal_bench.report.context import ReportContext
from fal_bench.report.facts import has_intervals, intervals
from fal_bench.report.panels.base import Cell, Figure, Panel, Table, drawn_name, layout, plotted
from fal_bench.report.sentences import sentences
from fal_bench.stats import Budget, paired_saving

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
_FIELD, _NUMBER, _NAMES = 22, 40, 190


@dataclass(frozen=True)
class _Saving:
    value: float
    low: float
    high: float

    def turned(self) -> _Saving:
        """The same comparison seen from the other side."""
        return _Saving(*(1 - 1 / (1 - bound) for bound in (self.value, self.high, self.low)))

    def text(self) -> str:
        if math.isnan(self.value):
            return "n/c"
        whole = round(100 * self.value)
        return f"{whole:+d} %" if whole else "0 %"

    def with_interval(self) -> str:
        if math.isnan(self.low):
            return self.text()
        return f"{self.text()} [{round(100 * self.low)}, {round(100 * self.high)}]"


def pairwise_panel(
    context: ReportContext, budgets: Mapping[RunKey, RunBudget], ranked: Sequence[str]
) -> Panel:
    """Draw the paired savings between all complete strategies.

    Args:
        context: the question.
        budgets: the budgets to its target.
        ranked: the complete strategies, best first.
    """
    title = "Pairwise savings"
    if len(ranked) < 2:
        text = "There are not two complete strategies to compare."
        return Panel("pairwise", title, text, (), None)
    savings = _all_savings(context, budgets, ranked)
    text = (
        "Share of labels that the strategy of a row saves against that of a column, over runs of "
        "the same task and seed; a plus (blue) is a saving, a minus (orange) a loss, n/c (grey, "
        "crossed) not comparable. "
    )
    if has_intervals(context):
        text += (
            "The 95 % intervals in the table are not corrected for the number of pairs: "
            f"the verdicts above, against {context.baseline} alone, are."
        )
    else:
        text += sentences([intervals(context)], context)[0]
    field = _NUMBER if len(ranked) <= _MOST_NUMBERS else _FIELD
    figure = Figure(
        "pairwise-plot",
        "Saving of the row's strategy against the column's",
        [_heatmap(ranked, savings), *_crosses(ranked, savings)],
        layout(
            "",
            "",
            xaxis={"side": "top", "tickangle": _angle(len(ranked)), **_axis(ranked)},
            yaxis={**_axis(ranked), "range": [len(ranked) - 0.5, -0.5]},
            margin={"l": 20, "r": 14, "t": 20, "b": 14},
            hovermode="closest",
        ),
        height=200 + max(field * len(ranked), 120),
        width=_NAMES + field * len(ranked),
    )
    table = Table(
        "Saving of the row's strategy against the column's"
        + (", with 95 % intervals" if has_intervals(context) else ""),
        ("Strategy", *ranked),
        [
            [Cell(row)]
            + [
                Cell("")
                if row == column
                else Cell(
                    savings[row, column].with_interval(),
                    None if math.isnan(savings[row, column].value) else savings[row, column].value,
                )
                for column in ranked
            ]
            for row in ranked
        ],
    )
    return Panel("pairwise", title, text, (figure,), table)


def _all_savings(
    context: ReportContext, budgets: Mapping[RunKey, RunBudget], ranked: Sequence[str]
) -> dict[tuple[str, str], _Saving]:
    tasks = sorted(facts.name for facts in context.tasks)
    seeds = sorted(set(context.seeds))
    runs: dict[str, list[list[Budget]]] = {
        name: [
            [budgets[task, name, seed].interpolated[context.accounting] for seed in seeds]
            for task in tasks
        ]
        for name in ranked
    }
    savings = {}
    for place, one in enumerate(ranked):
        for other in ranked[place + 1 :]:
            found = paired_saving(runs[one], runs[other])
            saving = _Saving(found.saving, found.low, found.high)
            if not found.comparable:
                saving = _Saving(math.nan, math.nan, math.nan)
            savings[one, other], savings[other, one] = saving, saving.turned()
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


def _crosses(
    ranked: Sequence[str], savings: Mapping[tuple[str, str], _Saving]
) -> list[dict[str, Any]]:
    """Return grey, crossed fields for the pairs that cannot be compared, unlike the diagonal."""
    pairs = [
        (drawn_name(row), drawn_name(column))
        for row in ranked
        for column in ranked
        if row != column and math.isnan(savings[row, column].value)
    ]
    if not pairs:
        return []
    rows, columns = [row for row, _ in pairs], [column for _, column in pairs]
    shared = {"x": columns, "y": rows, "hovertemplate": "%{y} against %{x}: n/c<extra></extra>"}
    field = {"colorscale": [[0, _NOT_COMPARABLE], [1, _NOT_COMPARABLE]], "showscale": False}
    cross = {"symbol": "x-thin", "size": 7, "line": {"width": 1, "color": "var(--text)"}}
    return [
        {"type": "heatmap", "z": [1] * len(pairs), "xgap": 2, "ygap": 2, **field, **shared},
        {"type": "scatter", "mode": "markers", "marker": cross, **shared},
    ]


def _heatmap(ranked: Sequence[str], savings: Mapping[tuple[str, str], _Saving]) -> dict[str, Any]:
    values = [
        [math.nan if row == column else savings[row, column].value for column in ranked]
        for row in ranked
    ]
    known = [abs(value) for row in values for value in row if not math.isnan(value)]
    extent = min(_STRONGEST, max([0.1, *known]))
    names = [drawn_name(name) for name in ranked]
    texts = [
        [
            "" if math.isnan(value) else savings[row, column].text()
            for column, value in zip(ranked, line, strict=True)
        ]
        for row, line in zip(ranked, values, strict=True)
    ]
    return {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": [plotted(row) for row in values],
        "text": texts,
        "texttemplate": "%{text}" if len(ranked) <= _MOST_NUMBERS else "",
        "zmin": -extent,
        "zmax": extent,
        "colorscale": _SCALE,
        "showscale": True,
        "colorbar": _bar(extent, clipped=max(known, default=0.0) > extent),
        "textfont": {"color": "var(--text)"},
        "hoverongaps": False,
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "%{y} against %{x}: %{text}<extra></extra>",
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
