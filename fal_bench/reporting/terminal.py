"""Boards on a terminal: a table each, and below it what one must know, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text

from fal_bench.reporting.answer import Board
from fal_bench.reporting.facts import Explained, notes
from fal_bench.reporting.short import Spoken, short_board, short_lines
from fal_bench.reporting.table import leaderboard_table
from fal_bench.reporting.wording import sentences

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

MOST_LINES: Final = 4
"""Lines of notes below a board."""


@dataclass(frozen=True)
class Terminal:
    """What a terminal shows of boards.

    Attributes:
        boards: one board a target.
        explain: whether every note stands below them in full.
        hint: whether a line says how to see them.
    """

    boards: tuple[Board, ...]
    explain: bool = False
    hint: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show tables and notes, laid out for the console's width."""
        width = options.max_width
        yield from self._in_full(width) if self.explain else self._in_short(console, width)

    def _in_short(self, console: Console, width: int) -> Iterator[RenderableType]:
        for number, board in enumerate(self.boards):
            if number:
                yield Text("")
            yield leaderboard_table(board.leaderboard, board.context, width=width)
            last = [Explained(len(board.facts.findings))] if self.hint else []
            hint = sentences(last, board.context)
            yield from _fitting([*short_lines(board), *([line] for line in hint)], console, width)

    def _in_full(self, width: int) -> Iterator[RenderableType]:
        """Show everything that is known; what boards share is said once, at the end."""
        below, shared = notes([board.facts for board in self.boards])
        for board, own in zip(self.boards, below, strict=True):
            yield leaderboard_table(board.leaderboard, board.context, width=width)
            said = [*board.verdict, *short_board(board)[2], *sentences(own, board.context)]
            yield from map(Text, dict.fromkeys(said))
            if len(self.boards) > 1:
                yield Text("")
        yield from map(Text, sentences(shared, self.boards[0].context))


def _fitting(lines: Sequence[Spoken], console: Console, width: int) -> Iterator[Text]:
    """Yield the first line, cut if need be, the last one, and those that there is room for."""
    (first, *_), *between = lines
    last = between.pop()[0] if between else ""
    room = MOST_LINES - _height(last, console, width)
    opening = Text(first).wrap(console, width)[:room]
    room -= len(opening)
    yield Text("\n").join(opening)
    for forms in between:
        fits = [line for line in forms if _height(line, console, width) <= room]
        if fits:
            room -= _height(fits[0], console, width)
            yield Text(fits[0])
    if last:
        yield Text(last)


def _height(line: str, console: Console, width: int) -> int:
    return len(Text(line).wrap(console, width)) if line else 0
