"""What a panel of the page is, what it is drawn from, and what it consists of."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from fal_bench.reporting.answer import Board, Comparison
from fal_bench.reporting.columns import is_ranked
from fal_bench.reporting.context import ReportContext
from fal_bench.reporting.panels.plotting import LineStyle, line_styles

# More colours than these look alike; a figure begins with the best few lines.
_MANY, _BEST, _MOST_OWN = 6, 4, 3


@dataclass(frozen=True)
class PageData:
    """What panels are drawn from.

    Attributes:
        comparison: the boards and the curves behind them.
        board: the one that is drawn.
    """

    comparison: Comparison
    board: Board

    @property
    def context(self) -> ReportContext:
        """The question of the board."""
        return self.board.context

    @cached_property
    def boards(self) -> list[Board]:
        """The boards of all targets of its metric."""
        metric = self.context.metric
        return [board for board in self.comparison.boards if board.context.metric == metric]

    @cached_property
    def ranked(self) -> list[str]:
        """The ranked strategies, best first."""
        return [row["strategy"] for row in self.board.rows if is_ranked(row)]

    @property
    def own(self) -> list[str]:
        """The ranked strategies that were measured here: runs of others pair with none."""
        return [name for name in self.ranked if self.context.external(name) is None]

    def finals(self, names: Sequence[str]) -> list[float]:
        """Return the mean metric at the cap of ranked strategies, more being better."""
        tasks, seeds = self.context.task_names, self.context.seeds
        return [
            self.context.sign
            * float(
                np.mean(
                    [
                        self.board.runs[task, name, seed].accuracy_at_cap
                        for task in tasks
                        for seed in seeds
                    ]
                )
            )
            for name in names
        ]

    @cached_property
    def chosen(self) -> list[str]:
        """The strategies in colour at first, best first; a few of many."""
        names = [*self.ranked, *(name for name in self.context.shown if name not in self.ranked)]
        if len(names) <= _MANY:
            return names
        own = [name for name in names if name in self.context.own][:_MOST_OWN]
        first = {*self.ranked[:_BEST], self.context.baseline, *own}
        return [name for name in names if name in first]

    @cached_property
    def styles(self) -> dict[str, LineStyle]:
        """The line of every strategy that has a row, in the order of names."""
        return line_styles(self.context.shown, self.chosen, self.context.baseline)


@dataclass(frozen=True)
class Figure:
    """A figure in plotly's JSON; the page adds the colours of text, grid and background.

    Attributes:
        key: its id on the page.
        label: what it shows, for screen readers and file names.
        data: plotly's traces.
        layout: plotly's layout.
        height: height in pixels; None for the usual one.
        width: width in pixels below which it is scrolled instead of squeezed.
        task: the one task that it shows; empty if it shows all.
    """

    key: str
    label: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int | None = None
    width: int | None = None
    task: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: its words.
        number: its number in full, if it is one.
        tone: how strongly it is coloured, from -1 for the worst loss to 1 for the best saving.
        sure: whether its number is beyond chance.
        place: place of the strategy that it names, among all in the order of names.
    """

    text: str
    number: float | None = None
    tone: float = 0.0
    sure: bool = False
    place: int | None = None


@dataclass(frozen=True)
class Heading:
    """The heading of a column.

    Attributes:
        text: its words.
        kind: class of its cells in the page's style sheet.
        more_is_better: whether the largest number is the best one.
    """

    text: str
    kind: str = "number"
    more_is_better: bool = False


@dataclass(frozen=True)
class Table:
    """A table; its first column names the rows.

    Attributes:
        caption: what the table shows.
        headings: headings of the columns.
        rows: one list of cells a row, the first one its name.
        kind: class of the table in the page's style sheet.
    """

    caption: str
    headings: tuple[Heading | str, ...]
    rows: list[list[Cell]]
    kind: str = ""

    @property
    def columns(self) -> list[Heading]:
        """The headings; words alone head a column of numbers, but for the first one."""
        return [
            Heading(one, "number" if place else "") if isinstance(one, str) else one
            for place, one in enumerate(self.headings)
        ]


@dataclass(frozen=True)
class Drawing:
    """What a panel shows, from top to bottom.

    Attributes:
        text: how to read it, or why there is nothing to see.
        figures: its figures, side by side if they are several.
        tables: tables that are seen at once.
        numbers: tables of the numbers behind the figures, folded away.
        parts: sections of their own.
        heading: the heading of a part.
    """

    text: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    numbers: tuple[Table, ...] = ()
    parts: tuple[Drawing, ...] = ()
    heading: str = ""


class Panel(ABC):
    """A section of the page. Every class in a module of ``reporting.panels`` is found by its file.

    Attributes:
        key: its id on the page.
        title: its heading.
        order: its place on the page, from top to bottom.
        strategies: how many ranked strategies it takes.
        own: whether it shows only those that were measured here.
        charges: whether it takes the ledger.
        lines: whether its figures show the chosen strategies in colour.
        scope: what it is drawn for: the whole page, each target that was asked for, or each board
            that the page can show.
        folded: whether it waits for readers who ask for it.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    order: ClassVar[int]
    strategies: ClassVar[int] = 1
    own: ClassVar[bool] = False
    charges: ClassVar[bool] = False
    lines: ClassVar[bool] = False
    scope: ClassVar[Literal["page", "target", "step"]] = "page"
    folded: ClassVar[bool] = False

    @abstractmethod
    def draw(self, data: PageData) -> Drawing:
        """Draw it; what it takes is there."""

    def show(self, data: PageData) -> Drawing:
        """Draw it, or say what it lacks."""
        if self.charges and data.comparison.charges.empty:
            return Drawing(
                "These results have no ledger (some published results come without one), so labels "
                "cannot be shown by purpose. What was read beyond the query pool is still in the "
                "strict labels of every table."
            )
        if len(data.own if self.own else data.ranked) >= self.strategies:
            return self.draw(data)
        if self.strategies == 1:
            return Drawing("No strategy has all of its runs.")
        return Drawing(f"It takes {self.strategies} strategies with all of their runs.")


def number(value: float, text: str) -> Cell:
    """Return a cell with a number, to the digits that a drawing can show; "-" without one."""
    return Cell("-") if math.isnan(value) else Cell(text, float(f"{value:.6g}"))
