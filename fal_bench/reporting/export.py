"""The leaderboard as text for other programs: CSV, JSON and Markdown."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fal_bench.errors import StoreError, one_line
from fal_bench.inputs.cells import guarded
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board
from fal_bench.reporting.facts import notes
from fal_bench.reporting.short import short_board, short_lines
from fal_bench.results.files import write_atomically
from fal_bench.task.target import ACCURACY


def to_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV, with the fewest digits that read back to the same numbers.

    No text cell begins as a formula does, so that a spreadsheet shows it and does not run it.
    """
    columns = {str(name): _guarded(frame[name]) for name in frame}
    safe = pd.DataFrame(columns).rename(columns=guarded)
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return text


def _guarded(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    cells = [guarded(cell) if isinstance(cell, str) else cell for cell in column]
    return pd.Series(cells, index=column.index, dtype=object)


def to_json(boards: Sequence[Board]) -> str:
    """Return boards as JSON: for each target the question, its facts, and one object a strategy.

    JSON has no word for "not a number" nor for infinity; both are null.
    """
    content = [
        {
            "question": {
                "suite": board.context.suite,
                "target_acc": board.context.target if board.context.metric == ACCURACY else None,
                "metric": board.context.metric,
                "target": board.context.target,
                "higher_is_better": board.context.higher_is_better,
                "target_name": board.context.target_name or None,
                "task_targets": dict(board.context.task_targets),
                "ladder": [
                    {"target": rung.value, "name": rung.name or None, "by_task": dict(rung.by_task)}
                    for rung in board.context.ladder
                ],
                "accounting": board.context.accounting,
                "baseline": board.context.baseline,
                "tasks": board.context.task_names,
                "seeds": list(board.context.seeds),
                "external": [
                    {
                        "strategy": one.strategy,
                        "import": one.origin.name,
                        "file": one.origin.file,
                        "sha256": one.origin.sha256,
                        "imported": one.origin.imported,
                        "not_ranked": one.unranked(board.context.accounting) or None,
                        "paired": board.context.paired(one.strategy),
                    }
                    for one in board.context.externals
                ],
                "command": board.context.command,
                "falbench": board.context.version,
            },
            "facts": _plain(board.facts.data()),
            "rows": _plain(board.leaderboard.to_dict("records")),
        }
        for board in boards
    ]
    return json.dumps(content, indent=2, allow_nan=False)


def to_markdown(boards: Sequence[Board]) -> str:
    """Return boards as Markdown tables with the columns of the terminal, and their notes."""
    below, shared = notes([board.facts for board in boards])
    parts = [
        _markdown(board, wording.sentences(own, board.context))
        for board, own in zip(boards, below, strict=True)
    ]
    common = _bullets(wording.sentences(shared, boards[0].context))
    return "\n\n".join([*parts, *(["For all targets:", common] if shared else [])])


def to_html(boards: Sequence[Board]) -> str:
    """Return boards as a notebook shows them: the columns and the notes of the terminal."""
    return "\n".join(_html(board) for board in boards)


def _html(board: Board) -> str:
    columns, rows, _ = short_board(board)
    table = pd.DataFrame(
        [[column.text(row) for column in columns] for row in rows],
        columns=[column.short for column in columns],
    )
    title = f"{wording.question(board.context)}, {wording.setting(board.context)}"
    sentences = "".join(f"<p>{html.escape(sentence)}</p>" for sentence, *_ in short_lines(board))
    return f"<p><b>{html.escape(title)}</b></p>{table.to_html(index=False)}{sentences}"


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV so that a reader sees the old file or the new one, never a part.

    Floats are written with the fewest digits that read back to the same number, so equal tables
    give equal bytes. Missing values are empty fields.

    Args:
        frame: the table; its index is not written.
        path: the file to write or replace; its folder must exist.

    Raises:
        StoreError: the file cannot be written.
    """
    content = to_csv(frame).encode()
    try:
        write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise StoreError(
            f"Cannot write {path} ({error.strerror or error}); "
            f"check that its folder exists and may be written to."
        ) from error


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: what is no number is None."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _markdown(board: Board, below: Sequence[str]) -> str:
    columns, rows, alike = short_board(board)
    lines = [
        [column.short for column in columns],
        ["--:" if column.numeric else ":--" for column in columns],
    ]
    for row in rows:
        lines.append([markdown_cell(column.text(row)) for column in columns])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    asked, setting = (
        markdown_cell(of(board.context)) for of in (wording.question, wording.setting)
    )
    title, said = f"**{asked}**, {setting}", [*alike, *below]
    return "\n\n".join([title, table, *([_bullets(said)] if said else [])])


def _bullets(notes: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_cell(note)}" for note in notes)


def markdown_cell(text: str) -> str:
    """Escape what Markdown would take for markup."""
    plain = one_line(text) or "-"
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#&" else c for c in plain)
