"""The leaderboard in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fal_bench.errors import one_line
from fal_bench.reporting import wording
from fal_bench.reporting.columns import (
    GROUPS,
    Column,
    Row,
    columns_shown,
    group,
    is_best,
    rows_of,
    telling,
)
from fal_bench.reporting.context import ReportContext

_VERDICT_STYLES = {"better": "green", "worse": "red"}
_UNBOUNDED = 10_000
# Where room is scarce: "not comparable" takes two lines, and names wrap, though not below a width
# at which one still recognises them.
_NARROW_VERDICT = 11
_NARROWEST_NAME = 12


def leaderboard_table(
    leaderboard: pd.DataFrame, context: ReportContext, *, width: int | None = None
) -> Table:
    """Lay the leaderboard out for a terminal, without the columns that say nothing.

    Where it does not fit, spare columns go first (``Column.spare``: the step value, then the
    accounting that ranks the board, whose numbers stand in the column of budgets anyway), then the
    intervals of the ranks. Where the accountings differ, both stay, and so does the
    comparison with the baseline. After that names wrap, and numbers at the very last.

    Args:
        leaderboard: the board's table.
        context: the question it answers.
        width: columns of the terminal; by default those of rich's own console.

    Returns:
        The table, best row emphasised; what is not ranked is dimmed after a rule.
    """
    width = Console().width if width is None else width
    rows = rows_of(leaderboard)
    columns, _ = telling(columns_shown("board", context), rows, context.accounting)
    table = _lay_out(rows, columns)
    for spare in ("any", context.accounting):
        if _natural_width(table) > width:
            columns = [column for column in columns if column.spare != spare]
            table = _lay_out(rows, columns)
    if _natural_width(table) > width:
        columns = [replace(column, text=column.brief_text or column.text) for column in columns]
        table = _lay_out(rows, columns)
    if _natural_width(table) > width:
        table = _lay_out_narrow(rows, columns, width)
    asked, setting = wording.question(context), wording.setting(context)
    fits = cell_len(f"{asked}, {setting}") <= min(width, _natural_width(table))
    table.title = Text(f"{asked}, {setting}" if fits else f"{asked},\n{setting}", style="bold")
    return table


def ruled_table() -> Table:
    """Return an empty table as all commands print theirs: a rule below the headings, no frame."""
    return Table(
        title_justify="left",
        box=box.HORIZONTALS,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _natural_width(table: Table) -> int:
    return Console(width=_UNBOUNDED).measure(table).maximum


def _lay_out_narrow(rows: list[Row], columns: list[Column], width: int) -> Table:
    widths: dict[str, int] = {"verdict": _NARROW_VERDICT}
    excess = _natural_width(_lay_out(rows, columns, widths)) - width
    if excess > 0:
        longest = max(cell_len(one_line(row["strategy"])) for row in rows)
        widths["name"] = max(_NARROWEST_NAME, longest - excess)
    return _lay_out(rows, columns, widths)


def _lay_out(
    rows: list[Row], columns: list[Column], widths: Mapping[str, int] | None = None
) -> Table:
    """Lay out these columns; ``widths`` are upper limits by kind of column."""
    table = ruled_table()
    for column in columns:
        table.add_column(
            column.short,
            justify="right" if column.numeric else "left",
            overflow="fold",
            max_width=(widths or {}).get(column.kind),
        )
    limit = (widths or {}).get("name")
    for name in GROUPS:
        members = [row for row in rows if group(row) == name]
        if members and table.rows:
            table.add_section()
        for row in members:
            style = "bold" if is_best(row) else None
            table.add_row(*_cells(row, columns, limit), style=style if name == "ranked" else "dim")
    return table


def _cells(row: Row, columns: list[Column], limit: int | None) -> list[Text]:
    """Make the cells as Text: rich would read "[mode=online]" in a plain string as markup.

    Args:
        row: the row.
        columns: the columns.
        limit: width above which names wrap.
    """
    cells = []
    for column in columns:
        text = one_line(column.text(row)) or "-"
        if column.kind == "name" and limit is not None and cell_len(text) > limit:
            text = _wrapped(text, limit)
        style = _VERDICT_STYLES.get(text, "") if column.kind == "verdict" else ""
        cells.append(Text(text, style=style))
    return cells


def _wrapped(name: str, limit: int) -> str:
    """Break a name before its brackets, or else after a hyphen, if what is before them fits."""
    places = [name.find("["), *(at + 1 for at, c in reversed([*enumerate(name)]) if c == "-")]
    for at in places:
        if at > 0 and cell_len(name[:at].rstrip()) <= limit:
            return f"{name[:at].rstrip()}\n{name[at:]}"
    return name
