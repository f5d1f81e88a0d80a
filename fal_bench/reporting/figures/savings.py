"""Every strategy's saving with its interval, sorted by rank and coloured by verdict."""

from __future__ import annotations

import math
from typing import Any, Final

from fal_bench.errors import InvalidSpecError
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board
from fal_bench.reporting.columns import Row, is_ranked, rows_of, saving_with_interval
from fal_bench.reporting.figures.paper import (
    QUIET,
    TEXT,
    Width,
    blank,
    label,
    legend_below,
    setting,
)

MOST_ROWS: Final = 60
"""More strategies than these do not fit on a page; the best ones are shown."""

_DEEPEST = 0.5
# Of a loss that is much larger than any saving, only the size is written.
_TIMES = 1.5
_ROW, _AROUND = 0.165, 0.95

_VERDICTS: Final[dict[str, tuple[str, str, bool]]] = {
    "better": ("#009E73", "o", True),
    "equal": ("#0072B2", "D", True),
    "no evidence": (QUIET, "o", False),
    "too few seeds": (QUIET, "o", False),
    "worse": ("#D55E00", "s", True),
    "reference": (TEXT, "^", False),
}
"""Colour and marker of a verdict, and whether the marker is filled."""


def draw(board: Board, width: Width) -> Any:
    """Draw a row a strategy, the best on top, and a line where the baseline is.

    Raises:
        InvalidSpecError: no strategy has a saving.
    """
    context = board.context
    rows = _rows(board)
    if not any(row["verdict"] in _VERDICTS for row in rows):
        raise InvalidSpecError(
            f"There is no saving against {context.baseline} to draw; compare it with another "
            "strategy, each with all of its runs, or name another --baseline."
        )
    figure = blank(width, _AROUND + _ROW * len(rows))
    axes = figure.add_subplot()
    floor = _floor(rows)
    axes.axvline(0, color="black", linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, floor, numbers=width == "page")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(left=floor * 1.03 if any(_beyond(row, floor) for row in rows) else None)
    axes.set_yticks(range(len(rows)), [label(row["strategy"]) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.0f} %" if value else "0 %")
    axes.grid(axis="x", color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"{context.spent} saved against {label(context.baseline)}")
    axes.set_title(f"{_title(board)}\n{setting(context)}", loc="left", fontsize=7.5, color=TEXT)
    legend_below(figure, _handles(rows), width, most=len(_VERDICTS))
    return figure


def _title(board: Board) -> str:
    whole = len(_ordered(board))
    best = f", the best {MOST_ROWS} of {whole} strategies" if whole > MOST_ROWS else ""
    spent = board.context.spent.capitalize()
    return f"{spent} saved on the way to {wording.target(board.context)}{best}"


def _ordered(board: Board) -> list[Row]:
    """Return the rows with a saving, those that are ranked first."""
    rows = [row for row in rows_of(board.leaderboard) if not math.isnan(row["saving_vs_random"])]
    return sorted(rows, key=lambda row: not is_ranked(row))


def _rows(board: Board) -> list[Row]:
    return _ordered(board)[:MOST_ROWS]


def _floor(rows: list[Row]) -> float:
    """Return the largest loss that the axis has room for, below 0."""
    highest = float(max(max(row["saving_vs_random"], row["saving_high"]) for row in rows))
    return -max(_DEEPEST, _TIMES * max(highest, 0.0))


def _beyond(row: Row, floor: float) -> bool:
    return bool(row["saving_vs_random"] < floor)


def _draw_row(axes: Any, place: int, row: Row, floor: float, *, numbers: bool) -> None:
    if row["verdict"] not in _VERDICTS:  # the baseline: its line says it
        return
    colour, marker, filled = _VERDICTS[row["verdict"]]
    text = saving_with_interval(row)
    if _beyond(row, floor):
        axes.plot(floor, place, marker="<", color=colour, markersize=4, clip_on=False)
        axes.text(floor * 0.97, place, text, va="center", fontsize=6.5, color=colour)
        return
    low, high = row["saving_low"], row["saving_high"]
    drawn_low = max(low, floor) if math.isfinite(low) else row["saving_vs_random"]
    drawn_high = high if math.isfinite(high) else row["saving_vs_random"]
    axes.plot([drawn_low, drawn_high], [place, place], color=colour, linewidth=1.3, zorder=2)
    for end, other, arrow in ((low, high, "<"), (high, low, ">")):
        if math.isnan(end) and math.isfinite(other):  # open to this side
            reach = row["saving_vs_random"] + (0.02 if arrow == ">" else -0.02)
            axes.plot(reach, place, marker=arrow, color=colour, markersize=2.5)
    axes.plot(
        row["saving_vs_random"], place, marker=marker, color=colour, markersize=4, zorder=3,
        markerfacecolor=colour if filled else "white",
    )  # fmt: skip
    if numbers:
        axes.text(
            1.01, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=6.5
        )


def _handles(rows: list[Row]) -> list[Any]:
    from matplotlib.lines import Line2D

    there = {row["verdict"] for row in rows}
    return [
        Line2D(
            [], [], color=colour, marker=marker, markersize=4, linewidth=1.3, label=verdict,
            markerfacecolor=colour if filled else "white",
        )
        for verdict, (colour, marker, filled) in _VERDICTS.items()
        if verdict in there
    ]  # fmt: skip
