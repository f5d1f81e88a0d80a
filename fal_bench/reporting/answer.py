"""The answer to a question: one leaderboard a target, and everything that is written of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import pandas as pd

from fal_bench._version import __version__
from fal_bench.errors import InvalidSpecError, StoreError
from fal_bench.inputs.arguments import check_choice
from fal_bench.reporting.context import Entrant, ReportContext, task_facts
from fal_bench.reporting.external import external_curves
from fal_bench.reporting.targets import Question
from fal_bench.results.identity import (
    records,
    strategy_selector,
    task_labels,
    trainer_selector,
)
from fal_bench.results.model import MissingRun, Results
from fal_bench.results.store import PUBLISHED

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderResult

    from fal_bench.reporting.budgets import Reading, RunBudget, RunKey
    from fal_bench.reporting.columns import Row
    from fal_bench.reporting.facts import Facts
    from fal_bench.reporting.figures import FigureKind, FigureWidth
    from fal_bench.reporting.leaderboard import Ladder

TextFormat = Literal["csv", "json", "md", "latex"]


@dataclass(frozen=True)
class Board:
    """The leaderboard of one target.

    Attributes:
        runs: the finished runs, read at the looks of their tasks.
        context: the question and its provenance.
    """

    runs: Mapping[RunKey, Reading]
    context: ReportContext

    @cached_property
    def budgets(self) -> Mapping[RunKey, RunBudget]:
        """The budget of every run to the target."""
        from fal_bench.reporting.budgets import budgets_at

        return budgets_at(self.runs, self.context)

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """One row a strategy, best first."""
        from fal_bench.reporting.leaderboard import build_leaderboard

        return build_leaderboard(self.runs, self.context, self.ladder)

    @cached_property
    def ladder(self) -> Ladder:
        """What every strategy with all of its runs spends on the way to the targets."""
        from fal_bench.reporting.leaderboard import Ladder

        context = self.context
        return Ladder.climb(self.runs, context, context.rungs, sorted(context.shown))

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of the leaderboard, best first."""
        from fal_bench.reporting.columns import rows_of

        return rows_of(self.leaderboard)

    @cached_property
    def facts(self) -> Facts:
        """What one must know beside the numbers."""
        from fal_bench.reporting.findings import board_facts

        return board_facts(self.leaderboard, self.context, self.runs)

    @property
    def verdict(self) -> list[str]:
        """Who needed the fewest labels and how sure that is, in sentences."""
        from fal_bench.reporting.wording import sentences

        return sentences(self.facts.verdict, self.context)

    @property
    def notes(self) -> list[str]:
        """What belongs below the table, in sentences: how to read it, then what was found."""
        from fal_bench.reporting.wording import sentences

        return sentences([*self.facts.reading, *self.facts.findings], self.context)

    def figure(self, kind: FigureKind = "savings", *, width: FigureWidth = "page") -> Figure:
        """Draw a figure of the board, as ``Comparison.figure`` does."""
        from fal_bench.reporting.figures import draw

        return draw(self, kind, width)


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison; it shows itself as its short boards with their verdicts.

    Attributes:
        boards: one board a target.
        curves: one row a run and cycle.
        charges: labels read, one row a run, purpose and cycle.
        external: curves measured elsewhere, one row a run and cycle; None if there are none.
        missing: the runs without a finished curve, and why.
    """

    boards: tuple[Board, ...]
    curves: pd.DataFrame
    charges: pd.DataFrame
    external: pd.DataFrame | None = None
    missing: tuple[MissingRun, ...] = ()

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One row a strategy, best first; with several targets, one block of rows each."""
        return pd.concat([board.leaderboard for board in self.boards], ignore_index=True)

    @property
    def context(self) -> ReportContext:
        """The question and its provenance; with several targets, those of the first."""
        return self.boards[0].context

    def write(self, out: str | Path) -> list[Path]:
        """Write ``leaderboard.csv``, ``curves.csv`` and ``leaderboard.html`` into a folder.

        The folder is made if need be. ``curves.csv`` holds what was measured here; external curves
        keep their own files.

        Raises:
            StoreError: the folder cannot be written, or holds published results.
        """
        from fal_bench.reporting.export import write_csv
        from fal_bench.reporting.page import render_page
        from fal_bench.results.files import write_atomically

        if (Path(out) / PUBLISHED).exists():
            raise StoreError(
                f"{str(out)!r} holds published results, which this would overwrite; name another "
                "folder."
            )
        try:
            Path(out).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"Cannot write into {str(out)!r} ({error.strerror}).") from None
        paths = [Path(out) / name for name in ("leaderboard.csv", "curves.csv", "leaderboard.html")]
        write_csv(self.leaderboard, paths[0])
        write_csv(self.curves, paths[1])
        page = render_page(self).encode()
        write_atomically(paths[2], lambda file: file.write(page))
        return paths

    def figure(self, kind: FigureKind = "savings", *, width: FigureWidth = "page") -> Figure:
        """Draw a figure; with several targets, that of the first.

        A notebook shows it, and its ``savefig("fig.pdf")`` writes it.

        Args:
            kind: ``"savings"`` of every strategy with their intervals, the learning ``"curves"`` of
                every task, or the savings at every target of the ``"ladder"``.
            width: ``"column"`` or ``"page"`` of a paper with two columns: 3.5 or 7.16 inches.

        Returns:
            A matplotlib figure.

        Raises:
            InvalidSpecError: there is no such kind or width, or nothing to draw.
            FalbenchError: matplotlib is not installed.
        """
        return self.boards[0].figure(kind, width=width)

    def text(self, form: TextFormat) -> str:
        """Return the boards as text for other programs, ending in a line break.

        Args:
            form: ``"csv"`` with all columns, ``"json"``, or the short board as ``"md"`` or
                ``"latex"``.

        Raises:
            InvalidSpecError: there is no such form.
        """
        from fal_bench.reporting import export
        from fal_bench.reporting.latex import to_latex

        check_choice("form", form, get_args(TextFormat))
        if form == "csv":
            return export.to_csv(self.leaderboard)
        write = {"json": export.to_json, "md": export.to_markdown, "latex": to_latex}[form]
        return write(self.boards) + "\n"

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=120, color_system=None, force_jupyter=False)
        with console.capture() as capture:
            console.print(self)
        return capture.get()

    __repr__ = __str__

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show tables with a few lines each, laid out for the console's width."""
        from fal_bench.reporting.terminal import Terminal

        yield from Terminal(self.boards).__rich_console__(console, options)

    def _repr_html_(self) -> str:
        """Show the short boards, and the savings of the first where they can be drawn."""
        from fal_bench.reporting.export import to_html
        from fal_bench.reporting.figures.paper import NoMatplotlibError, to_svg

        boards = to_html(self.boards)
        try:
            return f"{boards}<div>{to_svg(self.figure('savings'))}</div>"
        except (InvalidSpecError, NoMatplotlibError):
            return boards


def answer(question: Question, results: Results) -> Comparison:
    """Answer a question from results; runs nothing.

    Args:
        question: targets, accounting and baseline.
        results: the runs that are compared, finished or not, and imported ones.

    Raises:
        InvalidSpecError: no run recorded a metric, or automatic targets cannot be found.
    """
    from fal_bench.reporting.budgets import read_runs, stops, undertrained
    from fal_bench.reporting.targets import contexts_for

    context, external = _context(question, results)
    curves, charges = results.shown_curves(), results.shown_charges()
    context = replace(
        context,
        undertrained=undertrained(curves, context.strategies),
        stops=stops(curves, context),
    )
    boards: dict[tuple[str, str, float], Board] = {}
    for metric in dict.fromkeys(one.metric for one in question.targets):
        asked = _of_metric(metric, context, results, curves, external)
        runs = read_runs(curves, asked, external)
        targets = [one for one in question.targets if one.metric == metric]
        for one in contexts_for(targets, runs, asked):
            boards.setdefault((one.metric, one.target_name, one.target), Board(runs, one))
    return Comparison(tuple(boards.values()), curves, charges, external, results.missing)


def _context(question: Question, results: Results) -> tuple[ReportContext, pd.DataFrame | None]:
    """Return what is known besides the curves, and the imported curves of the tasks compared."""
    tasks = tuple(
        task_facts(task.model_copy(update={"name": name}), int(pool))
        for task, name, pool in zip(
            results.tasks["spec"], task_labels(results.tasks), results.tasks["pool"], strict=True
        )
    )
    here = results.here
    done = here[here["state"] == "done"]
    first = done.sort_values("strategy", kind="stable").drop_duplicates("strategy")
    externals, external = external_curves(results, tasks, results.seeds, question.baseline)
    context = ReportContext(
        suite=results.title,
        target=0.0,
        accounting=question.accounting,
        baseline=question.baseline,
        strategies=results.strategies,
        seeds=results.seeds,
        tasks=tasks,
        missing=results.missing,
        command=f"{results.provenance.command} {question.options()}",
        version=__version__,
        environments=results.environments,
        trainers=tuple((run["strategy"], str(trainer_selector(run))) for run in records(first)),
        references=frozenset(first.loc[first["reference"].astype(bool), "strategy"]),
        externals=externals,
        computed=results.computed,
        entrants=_entrants(first, results),
    )
    return context, external if externals else None


def _entrants(first: pd.DataFrame, results: Results) -> tuple[Entrant, ...]:
    """Return what the first run of every strategy says of it."""
    # The column of that name holds what tables call it here.
    named = results.runs.set_index("key")["strategy"]
    found = []
    for run in records(first):
        selector = strategy_selector({**run, "strategy": named[run["key"]]})
        parameters = tuple((name, str(value)) for name, value in selector.params.items())
        found.append(Entrant(run["strategy"], selector.name, parameters, run["fingerprint"]))
    return tuple(found)


def _of_metric(
    metric: str,
    context: ReportContext,
    results: Results,
    curves: pd.DataFrame,
    external: pd.DataFrame | None,
) -> ReportContext:
    """Return the context of a metric: runs that did not record it count as missing.

    Raises:
        InvalidSpecError: none did.
    """
    from fal_bench.reporting.budgets import unrecorded_runs

    unrecorded = unrecorded_runs(curves, metric)
    reasons = results.why_unrecorded(metric)
    lacking = [MissingRun(*key, f"{metric} is not recorded: {reasons[key]}") for key in unrecorded]
    if results.metrics and metric not in results.metrics:
        recorded = ", ".join(results.metrics)
        why = "; ".join(sorted({reasons[key] for key in unrecorded})) or "no run is finished"
        raise InvalidSpecError(
            f"No run recorded the metric {metric!r} ({why}); recorded are {recorded}."
        )
    silent = set() if external is None else {key[1] for key in unrecorded_runs(external, metric)}
    return replace(
        context,
        metric=metric,
        higher_is_better=results.higher_is_better(metric),
        unrecorded=frozenset(unrecorded),
        missing=(*context.missing, *sorted(lacking, key=lambda one: (one.task, one.strategy))),
        externals=tuple(
            replace(one, obstacle=f"its file does not record {metric}")
            if one.strategy in silent
            else one
            for one in context.externals
        ),
    )
