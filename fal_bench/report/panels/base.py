"""What a panel of the page is, what it is drawn from, and what it consists of."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import pandas as pd

from fal_bench.report.budgets import GridRun, RunBudget, RunKey, budgets_at
from fal_bench.report.context import ReportContext
from fal_bench.report.styles import LineStyle

Budgets = Mapping[RunKey, RunBudget]


@dataclass(frozen=True)
class PageData:
    """What panels are drawn from.

    Attributes:
        contexts: the question for every target of one metric.
        context: the one that the page leads with; panels with room for one target show it.
        runs: the finished runs on their label grids, external ones included.
        curves: one row a run and cycle, of what was measured here.
        charges: labels read, one row a run, purpose and cycle; empty where there is no ledger.
        ranked: the ranked strategies, best first.
        styles: the line of every strategy that has a row, in the order of names.
        leading: the strategies that figures show at first; a few of many.
    """

    contexts: tuple[ReportContext, ...]
    context: ReportContext
    runs: Mapping[RunKey, GridRun]
    curves: pd.DataFrame
    charges: pd.DataFrame
    ranked: tuple[str, ...]
    styles: Mapping[str, LineStyle]
    leading: tuple[str, ...]

    @property
    def own(self) -> tuple[str, ...]:
        """The ranked strategies that were measured here: runs of others pair with none."""
        return tuple(name for name in self.ranked if self.context.external(name) is None)

    @cached_property
    def budgets(self) -> Budgets:
        """The budgets to the target of ``context``."""
        return budgets_at(self.runs, self.context)

    @cached_property
    def answers(self) -> list[tuple[ReportContext, Budgets]]:
        """Every question with the budgets to its target."""
        return [(one, budgets_at(self.runs, one)) for one in self.contexts]

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks, in order."""
        return sorted({facts.name for facts in self.context.tasks})

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return sorted(set(self.context.seeds))


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
    """

    key: str
    label: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int | None = None
    width: int | None = None

    @property
    def content(self) -> dict[str, Any]:
        """What the page hands to plotly."""
        return {"data": self.data, "layout": self.layout}


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its words, its number in full if it is one, and a strategy's line."""

    text: str
    number: float | None = None
    style: LineStyle | None = None


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
        numbers: the numbers behind the figures, folded away.
        parts: sections of their own.
        heading: the heading of a part.
    """

    text: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    numbers: Table | None = None
    parts: tuple[Drawing, ...] = ()
    heading: str = ""


@dataclass(frozen=True)
class Needs:
    """What a panel takes; without it, it says what it lacks.

    Attributes:
        strategies: so many ranked strategies.
        own: whether only those count that were measured here.
        charges: whether it takes the ledger.
    """

    strategies: int = 1
    own: bool = False
    charges: bool = False

    def lacking(self, data: PageData) -> str:
        """Say what is not there; empty if nothing is amiss."""
        if self.charges and data.charges.empty:
            return (
                "These results have no ledger (some published results come without one), so labels "
                "cannot be shown by purpose. What was read beyond the query pool is still in the "
                "strict labels of every table."
            )
        if len(data.own if self.own else data.ranked) >= self.strategies:
            return ""
        if self.strategies == 1:
            return "No strategy has all of its runs."
        return f"It takes {self.strategies} strategies with all of their runs."


class Panel(ABC):
    """A section of the page. Every class in a module of ``report.panels`` is found by its file.

    Attributes:
        key: its id on the page.
        title: its heading.
        order: its place on the page, from top to bottom.
        needs: what it takes.
        lines: whether its figures have a line a strategy, which readers show and hide.
        one_target: whether it shows one target only, of several.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    order: ClassVar[int]
    needs: ClassVar[Needs] = Needs()
    lines: ClassVar[bool] = False
    one_target: ClassVar[bool] = False

    @abstractmethod
    def draw(self, data: PageData) -> Drawing:
        """Draw it; what it needs is there."""

    def show(self, data: PageData) -> Drawing:
        """Draw it, or say what it lacks."""
        lacking = self.needs.lacking(data)
        return Drawing(lacking) if lacking else self.draw(data)


def number(value: float, text: str) -> Cell:
    """Return a cell with a number, to the digits that a drawing can show; "-" without one."""
    return Cell("-") if math.isnan(value) else Cell(text, float(f"{value:.6g}"))
