"""The short form of a board, which terminal, notebook, Markdown and LaTeX show."""

from __future__ import annotations

from collections.abc import Sequence

from fal_bench.reporting.answer import Board
from fal_bench.reporting.columns import Column, Row, columns_shown, rows_of, telling
from fal_bench.reporting.facts import Alike, InShort, Missing, StrictBeyondCap, TiedWithFirst
from fal_bench.reporting.wording import sentences

Spoken = Sequence[str]
"""What a line may say, the longest form first."""


def short_board(board: Board) -> tuple[list[Column], list[Row], list[str]]:
    """Return the columns of the terminal, the rows, and in a sentence what is left out."""
    rows = rows_of(board.leaderboard)
    columns, alike = telling(columns_shown("board", board.context), rows, board.context.accounting)
    said = sentences([Alike(alike)], board.context) if alike else []
    return columns, rows, said


def short_lines(board: Board) -> list[Spoken]:
    """Return what may stand below a board, the most important first: why a run is missing."""
    facts = board.facts
    missing = [fact for fact in facts.findings if isinstance(fact, Missing)][:1]
    beyond = [fact for fact in facts.reading if isinstance(fact, StrictBeyondCap)]
    briefly = [*(fact for fact in facts.findings if fact not in missing), *beyond]
    tied = [fact for fact in facts.verdict if isinstance(fact, TiedWithFirst)]
    said = [*map(_only, sentences([*missing, *facts.verdict[:1]], board.context))]
    if briefly:
        forms = [
            InShort(tuple(briefly[:count]), len(briefly) - count)
            for count in range(len(briefly), 0, -1)
        ]
        said.append(sentences(forms, board.context))
    return [*said, *map(_only, [*sentences(tied, board.context), *short_board(board)[2]])]


def _only(line: str) -> Spoken:
    return [line]
