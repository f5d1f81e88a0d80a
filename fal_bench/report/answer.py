"""The answer to a question: one leaderboard a target, and everything that is written of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fal_bench._version import __version__
from fal_bench.report.context import ReportContext
from fal_bench.report.evidence import Evidence
from fal_bench.report.targets import Question

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, ConsoleOptions, RenderResult

TextFormat = Literal["csv", "json", "md"]


@dataclass(frozen=True)
class Board:
    """The leaderboard of one target.

    Attributes:
        leaderboard: one row a strategy, best first.
        context: the question and its provenance.
        remarks: what the curves say about the table, in sentences.
        dashes: what the curves say about columns that only the page has, in sentences.
    """

    leaderboard: pd.DataFrame
    context: ReportContext
    remarks: tuple[str, ...] = ()
    dashes: tuple[str, ...] = ()

    @property
    def reading(self) -> list[str]:
        """How to read the table, in sentences that boards of several targets share."""
        from fal_bench.report.notes import reading_notes

        return reading_notes(self.leaderboard, self.context)

    @property
    def findings(self) -> list[str]:
        """What one must know of this table beside its numbers, in sentences."""
        from fal_bench.report.notes import findings

        return findings(self.leaderboard, self.context, self.remarks)

    @property
    def notes(self) -> list[str]:
        """All sentences below the table: how to read it, then what one must know of it."""
        return [*self.reading, *self.findings]


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison; in a notebook it shows itself as its tables.

    Attributes:
        boards: one board a target.
        curves: one row a run and cycle.
        charges: labels read, one row a run, purpose and cycle.
        external: curves measured elsewhere, one row a run and cycle; None if there are none.
    """

    boards: tuple[Board, ...]
    curves: pd.DataFrame
    charges: pd.DataFrame
    external: pd.DataFrame | None = None

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One row a strategy, best first; with several targets, one block of rows each."""
        import pandas as pd

        return pd.concat([board.leaderboard for board in self.boards], ignore_index=True)

    @property
    def context(self) -> ReportContext:
        """The question and its provenance; with several targets, those of the first."""
        return self.boards[0].context

    def write(self, out: Path) -> list[Path]:
        """Write ``leaderboard.csv``, ``curves.csv`` and ``leaderboard.html`` into a folder.

        ``curves.csv`` holds what was measured here; external curves keep their own files.

        Raises:
            StoreError: the folder cannot be written.
        """
        from fal_bench.report.export import write_csv
        from fal_bench.report.page import render_page
        from fal_bench.sweep.files import write_atomically

        paths = [out / name for name in ("leaderboard.csv", "curves.csv", "leaderboard.html")]
        write_csv(self.leaderboard, paths[0])
        write_csv(self.curves, paths[1])
        page = render_page(self).encode()
        write_atomically(paths[2], lambda file: file.write(page))
        return paths

    def text(self, form: TextFormat) -> str:
        """Return the boards as text for other programs, ending in a line break."""
        from fal_bench.report import export

        if form == "csv":
            return export.to_csv(self.leaderboard)
        return (export.to_json if form == "json" else export.to_markdown)(self.boards) + "\n"

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=120, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get()

    __repr__ = __str__

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show tables and notes, laid out for the console's width; shared notes come last."""
        from rich.text import Text

        from fal_bench.report.notes import parted
        from fal_bench.report.table import leaderboard_table

        notes, shared = parted(
            [board.reading for board in self.boards], [board.findings for board in self.boards]
        )
        for board, own in zip(self.boards, notes, strict=True):
            yield leaderboard_table(board.leaderboard, board.context, width=options.max_width)
            yield from map(Text, own)
            if len(self.boards) > 1:
                yield Text("")
        yield from map(Text, shared)

    def _repr_html_(self) -> str:
        shown: str = self.leaderboard.to_html(index=False, float_format="{:.3g}".format)
        return shown


def answer(question: Question, evidence: Evidence) -> Comparison:
    """Answer a question from stored curves; runs nothing.

    Args:
        question: targets, accounting and baseline.
        evidence: the runs.

    Raises:
        InvalidSpecError: automatic targets cannot be found.
    """
    from fal_bench.report.budgets import budgets_at, read_runs
    from fal_bench.report.leaderboard import rank_budgets
    from fal_bench.report.remarks import curve_remarks, dash_remarks
    from fal_bench.report.targets import contexts_for

    context = ReportContext(
        suite=evidence.suite,
        target=0.0,
        accounting=question.accounting,
        baseline=question.baseline,
        strategies=evidence.strategies,
        seeds=evidence.seeds,
        tasks=evidence.tasks,
        missing=evidence.missing,
        command=f"{evidence.command} {question.options()}",
        version=__version__,
        environments=evidence.environments,
        trainers=tuple((one.strategy, one.trainer) for one in evidence.entrants),
        references=frozenset(one.strategy for one in evidence.entrants if one.reference),
        externals=evidence.elsewhere.externals,
        computed=evidence.computed,
    )
    external = evidence.elsewhere.curves if context.externals else None
    runs = read_runs(evidence.curves, context, external)
    boards = tuple(
        Board(
            rank_budgets(budgets_at(runs, asked), asked),
            asked,
            tuple(curve_remarks(runs, asked)),
            tuple(dash_remarks(runs, asked)),
        )
        for asked in contexts_for(question, runs, context)
    )
    return Comparison(boards, evidence.curves, evidence.charges, external)
