"""The report as one HTML file that opens offline and asks the network for nothing."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import math
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2

from fal_bench._version import __version__
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board, Comparison
from fal_bench.reporting.columns import (
    GROUPS,
    Column,
    Row,
    budget_with_interval,
    columns_shown,
    group,
    is_best,
    rows_of,
    saving_with_interval,
)
from fal_bench.reporting.facts import Winner, notes
from fal_bench.reporting.findings import has_intervals
from fal_bench.reporting.panels import all_panels
from fal_bench.reporting.panels.base import PageData

_DRAWS = {".py", ".j2", ".css", ".js"}

_MISLEADING = re.compile(
    r"\\(?P<escape>u00[01][0-9a-f]|.)|"
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""Characters that cannot be seen, turn the direction of text, or cannot be written.

JSON has the first of them as escapes; other escapes are found, too, since ``\\\\u001b`` is none.
"""


def render_page(comparison: Comparison) -> str:
    """Render the report: verdict, leaderboards, figures with their numbers, provenance.

    Equal inputs give equal text. Whatever comes from plugins or files is escaped, and a content
    security policy in the page forbids every request, should a browser find one. With several
    targets there is a leaderboard for each; figures that have room for one target alone show the
    middle one.

    Args:
        comparison: the boards and the curves behind them.

    Returns:
        The HTML text, about 2 MB, nearly all of it plotly's own script, compressed.
    """
    contexts = [board.context for board in comparison.boards]
    middle = len(comparison.boards) // 2
    main = comparison.boards[middle]
    below, shared = notes([board.facts for board in comparison.boards], page=True)
    boards = [
        _board(place, board, wording.sentences(own, board.context))
        for place, (board, own) in enumerate(zip(comparison.boards, below, strict=True))
    ]
    data = PageData(comparison, main)
    # The first panel with lines has the switches that choose them, for all others, too.
    chooser = next((panel for panel in all_panels() if panel.lines), None)
    panels = [
        {"panel": panel, "drawing": panel.show(data), "chooses": panel is chooser}
        for panel in all_panels()
    ]
    context = main.context
    page = (
        _templates()
        .get_template("leaderboard.html.j2")
        .render(
            context=context,
            question=wording.questions(contexts),
            setting=wording.setting(context),
            intervals=has_intervals(context),
            boards=boards,
            facts=_key_facts(main),
            main=boards[middle],
            main_number=middle + 1,
            shared_notes=wording.sentences(shared, context),
            provenance=wording.sentences(main.facts.provenance, context),
            computed=wording.span(context.computed),
            metric=wording.metric(context),
            measured=wording.measured,
            data=data,
            panels=panels,
            plotly=packed_plotly(),
        )
    )
    return _MISLEADING.sub(_harmless, page)


@functools.cache
def _templates() -> jinja2.Environment:
    """Return the page's templates; each is compiled once."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fal_bench.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # As text, not as ASCII with escapes, so that what is shown in figures is cleaned, too.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "ensure_ascii": False}
    return environment


def _harmless(found: re.Match[str]) -> str:
    return found[0] if len(found["escape"] or "control") == 1 else " "


def _board(place: int, board: Board, notes: list[str]) -> dict[str, Any]:
    """Prepare the verdict and the tables of one target."""
    rows = rows_of(board.leaderboard)
    columns, more = (columns_shown(table, board.context) for table in ("board", "more"))
    return {
        "key": "board" if place == 0 else f"board-{place}",
        "target": wording.target(board.context),
        "verdict": board.verdict,
        "columns": columns,
        "sections": _sections(rows, columns),
        "more_columns": more,
        "more_sections": _sections([row for row in rows if group(row) != "incomplete"], more),
        "notes": notes,
        "task_targets": board.context.task_targets,
        "ladder": board.context.ladder,
    }


def _key_facts(board: Board) -> list[tuple[str, str]]:
    """Return who won, by how much and how sure that is; nothing without a single winner."""
    first, *_ = board.facts.verdict
    if not isinstance(first, Winner):
        return []
    row = rows_of(board.leaderboard)[0]
    labels = "Labels to the middle target" if board.context.ladder else "Labels to target"
    facts = [
        ("Fewest labels", row["strategy"]),
        (_with_interval(labels, row["labels_low"]), budget_with_interval(row)),
    ]
    saving = "" if row["verdict"] == "baseline" else saving_with_interval(row)
    if saving:
        name = f"Saving against {board.context.baseline}"
        facts.append((_with_interval(name, row["saving_low"], row["saving_high"]), saving))
    return [*facts, ("How sure", wording.certainty(first, board.context))]


def _with_interval(name: str, *ends: float) -> str:
    """Say in a number's name what the brackets behind it are, if there are any."""
    return name if all(map(math.isnan, ends)) else f"{name} (95 % interval)"


def _sections(rows: list[Row], columns: list[Column]) -> list[dict[str, Any]]:
    """Split the board into its groups, as bodies of one table."""
    bodies = []
    for name in GROUPS:
        members = [row for row in rows if group(row) == name]
        if members:
            cells = [
                {"best": is_best(row), "cells": [_cell(row, column) for column in columns]}
                for row in members
            ]
            bodies.append({"name": name, "rows": cells})
    return bodies


def _cell(row: Row, column: Column) -> dict[str, Any]:
    """A cell's words, and its number in full as the CSV file has it, if there is one.

    The interval is apart, so that it can stand below its number where room is scarce.
    """
    text = column.text(row)
    words, bracket, interval = text.partition(" [") if column.numeric else (text, "", "")
    return {
        "column": column,
        "text": words,
        "interval": f"[{interval}" if bracket else "",
        "number": column.number(row),
    }


@functools.cache
def page_version() -> str:
    """Identify the code that draws boards and pages: where it is the same, so are they.

    Returns:
        The start of the SHA-256 of falbench's version, plotly's, and all files of this room.
    """
    digest = hashlib.sha256(f"{__version__} {version('plotly')}".encode())
    room = Path(__file__).parent
    for path in sorted(room.rglob("*"), key=lambda path: path.relative_to(room).as_posix()):
        if path.suffix in _DRAWS:
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16]


@functools.cache
def packed_plotly() -> str:
    """Return plotly's script, compressed, as text that may stand inside of a script element."""
    from plotly.offline import get_plotlyjs

    # Without a time stamp equal scripts give equal text. Level 9 takes twice as long as level 6,
    # and makes the text 0.2 % smaller.
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 6, mtime=0)).decode()
