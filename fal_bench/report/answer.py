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
    from collections.abc import Mapping

    import pandas as pd
    from rich.console import Console, ConsoleOptions, RenderResult

    from fal_bench.report.budgets import GridRun, RunKey
    from fal_bench.report.facts import Facts

TextFormat = Literal["csv", "json", "md"]


@dataclass(frozen=True)
class Board:
    """The leaderboard of one target.

    Attributes:
        leaderboard: one row a strategy, best first.
        context: the question and its provenance.
        facts: what one must know beside the numbers.
    """

    leaderboard: pd.DataFrame
    context: ReportContext
    facts: Facts

    @classmethod
    def of(cls, runs: Mapping[RunKey, GridRun], context: ReportContext) -> Board:
        """Rank runs by their budgets to the context's target.

        Args:
            runs: the finished runs (``read_runs``).
            context: the question.
        """
        from fal_bench.report.budgets import budgets_at
        from fal_bench.report.findings import board_facts
        from fal_bench.report.leaderboard import rank_budgets

        leaderboard = rank_budgets(budgets_at(runs, context), context)
        return cls(leaderboard, context, board_facts(leaderboard, context, runs))

    @property
    def verdict(self) -> list[str]:
        """Who needed the fewest labels and how sure that is, in sentences."""
        from fal_bench.report.sentences import sentences

        return sentences(self.facts.verdict, self.context)

    @property
    def notes(self) -> list[str]:
        """What belongs below the table, in sentences: how to read it, then what was found."""
        from fal_bench.report.sentences import sentences

        return sentences([*self.facts.reading, *self.facts.findings], self.context)


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

        from fal_bench.report.facts import notes
        from fal_bench.report.sentences import sentences
        from fal_bench.report.table import leaderboard_table

        below, shared = notes([board.facts for board in self.boards])
        for board, own in zip(self.boards, below, strict=True):
            yield leaderboard_table(board.leaderboard, board.context, width=options.max_width)
            yield from map(Text, sentences(own, board.context))
            if len(self.boards) > 1:
                yield Text("")
        yield from map(Text, sentences(shared, self.context))

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
    from fal_bench.report.budgets import read_runs
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
    boards = tuple(Board.of(runs, asked) for asked in contexts_for(question, runs, context))
    return Comparison(boards, evidence.curves, evidence.charges, external)
