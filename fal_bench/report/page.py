"""The report as one HTML file that opens offline and asks the network for nothing."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Mapping
from typing import Any, cast

import jinja2

from fal_bench.report import wording
from fal_bench.report.answer import Board, Comparison
from fal_bench.report.budgets import GridRun, RunBudget, RunKey, budgets_at, read_runs
from fal_bench.report.columns import Column, columns_shown
from fal_bench.report.context import External, ReportContext, TaskFacts
from fal_bench.report.facts import Winner, has_intervals, notes
from fal_bench.report.panels.base import Panel
from fal_bench.report.panels.coverage import coverage_table
from fal_bench.report.panels.curves import curves_figure, curves_table, task_runs
from fal_bench.report.panels.ecdf import ecdf_panel
from fal_bench.report.panels.pairwise import pairwise_panel
from fal_bench.report.panels.rank_by_target import rank_by_target_panel
from fal_bench.report.panels.spending import cost_panel, ledger_panel
from fal_bench.report.rows import GROUPS, Row, group, is_best, is_ranked
from fal_bench.report.sentences import certainty, sentences
from fal_bench.report.styles import LineStyle, line_styles

_Budgets = Mapping[RunKey, RunBudget]
# Above so many strategies the lines of a figure cannot be told apart; it then shows the best few.
_MANY, _BEST = 10, 5


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
    from plotly.offline import get_plotlyjs

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fal_bench.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    contexts = [board.context for board in comparison.boards]
    middle = len(comparison.boards) // 2
    main = comparison.boards[middle]
    below, shared = notes([board.facts for board in comparison.boards], dashes=True)
    boards = [
        _board(place, board, sentences(own, board.context))
        for place, (board, own) in enumerate(zip(comparison.boards, below, strict=True))
    ]
    context = main.context
    runs = read_runs(comparison.curves, context, comparison.external)
    styles = line_styles(context.shown, context.baseline)
    panels = _panels(comparison, main, runs, styles)
    return environment.get_template("leaderboard.html.j2").render(
        context=context,
        question=wording.questions(contexts),
        setting=wording.setting(context),
        intervals=has_intervals(context),
        boards=boards,
        facts=_key_facts(main),
        ranked=_ranked(main),
        main=boards[middle],
        main_number=middle + 1,
        shared_notes=sentences(shared, context),
        provenance=sentences(main.facts.provenance, context),
        styles=styles,
        leading=_leading(main, styles),
        computed=wording.span(context.computed),
        tasks=[
            _task(place, facts, runs, styles, contexts, context)
            for place, facts in enumerate(sorted(context.tasks, key=lambda facts: facts.name))
        ],
        panels=panels,
        contents=[
            ("verdict", "Verdict"),
            ("leaderboard", "Leaderboard"),
            ("curves", "Learning curves"),
            *((panel.key, panel.title) for panel in panels),
            ("coverage", "Coverage"),
            ("reading", "How to read this"),
            ("provenance", "Provenance"),
        ],
        coverage=coverage_table(runs.keys(), context),
        externals=[_origin(external, main) for external in context.externals],
        missing=sorted(context.missing, key=lambda run: (run.task, run.strategy, run.seed)),
        plotly=_packed(get_plotlyjs()),
    )


def _board(place: int, board: Board, notes: list[str]) -> dict[str, Any]:
    """Prepare the verdict and the tables of one target."""
    rows = cast("list[Row]", board.leaderboard.to_dict("records"))
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
    }


def _key_facts(board: Board) -> list[tuple[str, str]]:
    """Return who won, by how much and how sure that is; nothing without a single winner."""
    first, *_ = board.facts.verdict
    if not isinstance(first, Winner):
        return []
    row = cast("Row", board.leaderboard.to_dict("records")[0])
    facts = [
        ("Fewest labels", row["strategy"]),
        (_with_interval("Labels to target", row["labels_low"]), wording.budget_with_interval(row)),
    ]
    saving = "" if row["verdict"] == "baseline" else wording.saving_with_interval(row)
    if saving:
        name = f"Saving against {board.context.baseline}"
        facts.append((_with_interval(name, row["saving_low"]), saving))
    return [*facts, ("How sure", certainty(first, board.context))]


def _with_interval(name: str, low: float) -> str:
    """Say in a number's name what the brackets behind it are, if there are any."""
    return name if math.isnan(low) else f"{name} (95 % interval)"


def _ranked(board: Board) -> list[str]:
    """Return the complete strategies, best first."""
    rows = cast("list[Row]", board.leaderboard.to_dict("records"))
    return [row["strategy"] for row in rows if is_ranked(row)]


def _leading(board: Board, styles: Mapping[str, LineStyle]) -> list[str]:
    """Return the strategies that figures show at first: of many the best and the baseline."""
    if len(styles) <= _MANY:
        return list(styles)
    best = _ranked(board)[:_BEST]
    return [name for name in styles if name in best or name == board.context.baseline]


def _origin(external: External, board: Board) -> dict[str, Any]:
    """Say where an external strategy comes from."""
    reason = external.unranked(board.context.accounting)
    return {"external": external, "reason": f"no: {reason}" if reason else "yes"}


def _panels(
    comparison: Comparison,
    main: Board,
    runs: Mapping[RunKey, GridRun],
    styles: Mapping[str, LineStyle],
) -> list[Panel]:
    """Draw the figures over all tasks, of ranked strategies only.

    What needs pairs, a ledger or costs leaves out external ones.
    """
    ranked, context = _ranked(main), main.context
    own = [name for name in ranked if context.external(name) is None]
    budgets = budgets_at(runs, context)
    answers = [(board.context, budgets_at(runs, board.context)) for board in comparison.boards]
    contexts = [board.context for board in comparison.boards]
    return [
        ecdf_panel(answers, ranked, styles),
        rank_by_target_panel(runs, contexts, ranked, styles),
        pairwise_panel(context, budgets, own),
        ledger_panel(comparison.charges, budgets, own),
        cost_panel(comparison.curves, context, budgets, own, styles),
    ]


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


def _task(
    place: int,
    facts: TaskFacts,
    runs: Mapping[RunKey, GridRun],
    styles: Mapping[str, LineStyle],
    contexts: list[ReportContext],
    context: ReportContext,
) -> dict[str, Any]:
    mine = task_runs(runs, facts.name)
    budgets = budgets_at({key: run for key, run in runs.items() if key[0] == facts.name}, context)
    return {
        "facts": facts,
        "target": wording.percent(context.target_on(facts.name)),
        "figure": curves_figure(place, facts, mine, styles, contexts) if mine else None,
        "table": curves_table(facts, mine, styles),
        "rows": [
            _task_row(
                facts.name,
                name,
                styles[name],
                [budget for key, budget in budgets.items() if key[1] == name],
                context,
            )
            for name in sorted(styles)
        ],
    }


def _task_row(
    task: str, name: str, style: LineStyle, runs: list[RunBudget], context: ReportContext
) -> dict[str, Any]:
    accounting = context.accounting
    known = [run.interpolated[accounting] for run in runs if accounting in run.interpolated]
    reached = sum(run.interpolated["paper"].reached for run in runs)
    labels = sum(run.labels for run in known) / len(known) if known else math.nan
    external = context.external(name)
    expected = len(set(context.seeds))
    if external is not None:
        expected = sum(where == task for where, _ in external.runs)
    accuracy = sum(run.accuracy_at_cap for run in runs) / len(runs) if runs else math.nan
    return {
        "strategy": name,
        "style": style,
        "reached": reached,
        "runs": len(runs),
        "seeds": expected,
        "labels": wording.budget(labels, reached, len(runs)),
        "number": None if math.isnan(labels) else labels,
        "accuracy": None if math.isnan(accuracy) else accuracy,
    }


def _packed(source: str) -> str:
    """Compress a script and write it as text that may stand inside of a script element."""
    # Without a time stamp equal scripts give equal text.
    return base64.b64encode(gzip.compress(source.encode(), mtime=0)).decode()
