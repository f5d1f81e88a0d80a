"""The report as one HTML file that opens offline and asks the network for nothing."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2

from fal_bench._version import __version__
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Comparison
from fal_bench.reporting.columns import (
    GROUPS,
    Column,
    Row,
    columns_shown,
    group,
    has_dagger,
    is_best,
    telling,
)
from fal_bench.reporting.context import ReportContext
from fal_bench.reporting.entrants import Portrait, built_in_words, portrait
from fal_bench.reporting.facts import Alike, Compared, TiedWithFirst
from fal_bench.reporting.forest import Axis, axis_of, tone
from fal_bench.reporting.panels import all_panels
from fal_bench.reporting.panels.base import Drawing, PageData, Panel
from fal_bench.reporting.panels.plotting import COLOURS, DASHES, MARKERS
from fal_bench.reporting.panels.spending import costs_of
from fal_bench.reporting.steps import ALL_TASKS, Step, steps_of
from fal_bench.stats import FEWEST_SEEDS

_FIRST = ("rank", "strategy", "saving_vs_random", "labels", "reached", "verdict")
"""Columns beside the figure; the others are folded below it."""

_DRAWS = {".py", ".j2", ".css", ".js"}

_MISLEADING = re.compile(
    r"\\(?P<escape>u00[01][0-9a-f]|.)|"
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""Characters that cannot be seen, turn the direction of text, or cannot be written.

JSON has the first of them as escapes; other escapes are found, too, since ``\\\\u001b`` is none.
"""


def render_page(comparison: Comparison) -> str:
    """Render the report: the answer and its figure, then what it rests on.

    Equal inputs give equal text. Whatever comes from plugins or files is escaped, and a content
    security policy in the page forbids every request, should a browser find one. All boards that a
    reader can choose are in the page; it leads with the middle one of those asked for.

    Args:
        comparison: the boards and the curves behind them.

    Returns:
        The HTML text, 2 to 4 MB, most of it plotly's own script, compressed.
    """
    contexts = [board.context for board in comparison.boards]
    middle = len(comparison.boards) // 2
    steps = steps_of(comparison, middle)
    main = comparison.boards[middle]
    data = PageData(comparison, main)
    portraits = {one.strategy: portrait(one) for one in main.context.entrants}
    page = (
        templates()
        .get_template("leaderboard.html.j2")
        .render(
            context=main.context,
            question=wording.which_strategy(contexts),
            setting=wording.setting(main.context),
            scale=wording.scale(main.context),
            steps=steps,
            controls=_controls(steps, main.context),
            families=_families(data, portraits),
            views=[_view(step, comparison) for step in steps],
            panels=[_shown(panel, steps, comparison) for panel in all_panels()],
            fewest=FEWEST_SEEDS,
            provenance=wording.sentences(main.facts.provenance, main.context),
            computed=wording.span(main.context.computed),
            metric=wording.metric(main.context),
            data=data,
            portraits=portraits,
            costs=costs_of(data),
            memory=_memory(steps, data, portraits),
            plotly=packed_plotly(),
        )
    )
    return visible(page)


def visible(page: str) -> str:
    """Return a page without characters that mislead, or that cannot be written.

    Args:
        page: the HTML text.
    """
    return _MISLEADING.sub(_harmless, page)


@functools.cache
def templates() -> jinja2.Environment:
    """Return the templates of pages; each is compiled once."""
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


def _controls(steps: Sequence[Step], context: ReportContext) -> dict[str, dict[str, str]]:
    """Return the controls that have something to choose, each with its values and their words."""
    tasks = {ALL_TASKS: "all tasks", **{name: name for name in context.task_names}}
    found: dict[str, dict[str, str]] = {
        "target": {step.target: step.words for step in steps},
        "labels": {step.accounting: step.accounting for step in steps},
        "task": tasks if len(context.tasks) > 1 else {},
    }
    return {name: values for name, values in found.items() if len(values) > 1}


def _families(data: PageData, portraits: Mapping[str, Portrait]) -> dict[int, str]:
    """Return the family of every strategy, by its place."""
    return {
        style.place: portraits[name].family if name in portraits else _unknown(name, data)
        for name, style in data.styles.items()
    }


def _unknown(name: str, data: PageData) -> str:
    return "external" if data.context.external(name) else "without runs"


def _memory(
    steps: Sequence[Step], data: PageData, portraits: Mapping[str, Portrait]
) -> dict[str, Any]:
    """Return what the page's script works with."""
    styles = data.styles
    return {
        "steps": [step.settings for step in steps],
        "names": {style.place: name for name, style in styles.items()},
        "families": _families(data, portraits),
        "chosen": [styles[name].place for name in data.chosen],
        "baseline": styles[data.context.baseline].place if data.context.baseline in styles else -1,
        "colours": COLOURS,
        "dashes": DASHES,
        "markers": MARKERS,
    }


def _shown(panel: Panel, steps: Sequence[Step], comparison: Comparison) -> dict[str, Any]:
    """Draw a panel as often as it has something else to show, each for some steps."""
    if panel.scope == "step":
        parts = [([place], PageData(comparison, step.board)) for place, step in enumerate(steps)]
    elif panel.scope == "target":
        places = list(dict.fromkeys(step.asked for step in steps))
        parts = [
            (
                [number for number, step in enumerate(steps) if step.asked == place],
                PageData(comparison, comparison.boards[place]),
            )
            for place in places
        ]
    else:
        parts = [(list(range(len(steps))), PageData(comparison, steps[0].board))]
    drawings = [
        (numbers, _renamed(panel.show(data), place), data.context)
        for place, (numbers, data) in enumerate(parts)
    ]
    return {"panel": panel, "drawings": drawings}


def _renamed(drawing: Drawing, place: int) -> Drawing:
    """Return a drawing whose figures share no key with those of its other targets."""
    if not place:
        return drawing
    figures = tuple(replace(one, key=f"{one.key}-{place}") for one in drawing.figures)
    return replace(drawing, figures=figures)


def _view(step: Step, comparison: Comparison) -> dict[str, Any]:
    """Prepare the answer, the board with its figure, and the notes of one step.

    Further numbers are those of questions that were asked, so that a page stays small.
    """
    board, context = step.board, step.board.context
    data = PageData(comparison, board)
    columns = {column.key: column for column in columns_shown("board", context)}
    first = [columns[key] for key in _FIRST]
    rest = [column for key, column in columns.items() if key not in _FIRST]
    further = [columns["strategy"], *rest, *columns_shown("more", context)[1:]]
    ranked = [row for row in board.rows if group(row) != "incomplete"]
    facts, axis = board.facts, axis_of(ranked)
    marks = [mark for row in ranked if axis and (mark := axis.mark(row))]
    tied = [fact for fact in facts.verdict if isinstance(fact, TiedWithFirst)]
    others = [fact for fact in facts.verdict[1:] if not isinstance(fact, TiedWithFirst | Compared)]
    notes = [*others, *facts.findings, *facts.page_only, *facts.reading]
    asked = board is comparison.boards[step.asked]
    return {
        "answer": wording.sentences(facts.verdict[:1], context),
        "tied": wording.sentences(tied, context),
        "axis": axis,
        "judged": any(
            row["verdict"] in ("better", "worse", "equal", "no evidence") for row in ranked
        ),
        "off": any(mark.beyond for mark in marks),
        "daggers": any(map(has_dagger, board.rows)),
        "board": _table(board.rows, first, axis, data),
        "more": _table(ranked, further, None, data) if asked else None,
        "notes": wording.sentences(notes, context),
        "ladder": wording.ladder(context),
        "context": context,
    }


def _table(
    rows: Sequence[Row], columns: Sequence[Column], axis: Axis | None, data: PageData
) -> dict[str, Any]:
    """Prepare a table; a column that says the same in every row becomes a sentence."""
    shown, alike = telling(columns, rows, data.context.accounting)
    own = data.context.own
    members: dict[str, list[dict[str, Any]]] = {name: [] for name in GROUPS}
    for row in rows:
        members[group(row)].append(
            {
                "name": row["strategy"],
                "place": data.styles[row["strategy"]].place,
                "own": row["strategy"] in own,
                "best": is_best(row) and row["verdict"] not in ("too few seeds", "no evidence"),
                "tone": tone(row["verdict"]),
                "mark": axis.mark(row) if axis else None,
                "cells": [_cell(row, column) for column in shown],
            }
        )
    return {
        "columns": shown,
        "sections": [(name, found) for name, found in members.items() if found],
        "same": wording.sentences([Alike(alike)], data.context) if alike else [],
    }


def _cell(row: Row, column: Column) -> dict[str, Any]:
    """A cell's words, and its number in full as the CSV file has it, if there is one.

    The interval is apart, so that it can stand below its number where room is scarce.
    """
    text, number = column.text(row), column.number(row)
    words, bracket, interval = text.partition(" [") if column.numeric else (text, "", "")
    return {
        "text": words,
        "interval": f"[{interval}" if bracket else "",
        # As scripts read it, too.
        "number": "Infinity" if number == math.inf else number,
    }


@functools.cache
def page_version() -> str:
    """Identify the code that draws boards and pages: where it is the same, so are they.

    Returns:
        The start of the SHA-256 of falbench's version, plotly's, all files of this room, and what
        pages say of built-in strategies.
    """
    digest = hashlib.sha256(f"{__version__} {version('plotly')}".encode())
    room = Path(__file__).parent
    for path in sorted(room.rglob("*"), key=lambda path: path.relative_to(room).as_posix()):
        if path.suffix in _DRAWS:
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    for words in built_in_words():
        digest.update(words.encode())
    return digest.hexdigest()[:16]


@functools.cache
def packed_plotly() -> str:
    """Return plotly's script, compressed, as text that may stand inside of a script element."""
    from plotly.offline import get_plotlyjs

    # Without a time stamp equal scripts give equal text. Level 9 takes twice as long as level 6,
    # and makes the text 0.2 % smaller.
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 6, mtime=0)).decode()
