"""The report as one HTML file that opens offline and asks the network for nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import jinja2
import pandas as pd
from markupsafe import Markup

from fal_bench.report import wording
from fal_bench.report.budgets import RunBudget, read_budgets
from fal_bench.report.columns import Column, board_columns, is_best, is_complete
from fal_bench.report.context import ReportContext, TaskFacts
from fal_bench.report.figures import LineStyle, line_styles, mean_curve, task_figure
from fal_bench.report.table import footer
from fal_bench.report.verdict import verdict_sentences
from fal_bench.report.wording import Row

if TYPE_CHECKING:
    from fal_bench.report.answer import Comparison

_Budgets = Mapping[tuple[str, str, int], RunBudget]


def render_page(comparison: Comparison) -> str:
    """Render the report: verdict, leaderboard, learning curves, definitions and provenance.

    Equal inputs give equal text. Whatever comes from plugins or files is escaped, and a content
    security policy in the page forbids every request, should a browser find one.

    Args:
        comparison: the boards and the curves behind them.

    Returns:
        The HTML text, about 5 MB, nearly all of it plotly's own script.
    """
    from plotly.offline import get_plotlyjs

    leaderboard, context = comparison.boards[0].leaderboard, comparison.boards[0].context
    curves = comparison.curves
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fal_bench.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = cast("list[Row]", leaderboard.to_dict("records"))
    columns = board_columns(context)
    return environment.get_template("leaderboard.html.j2").render(
        context=context,
        question=wording.question(context),
        setting=wording.setting(context),
        target=wording.percent(context.target),
        verdict=verdict_sentences(leaderboard, context),
        columns=columns,
        sections=_sections(rows, columns),
        notes=footer(leaderboard, context),
        tasks=_tasks(curves, context),
        missing=sorted(context.missing, key=lambda cell: (cell.task, cell.strategy, cell.seed)),
        plotly=_inline_script(get_plotlyjs()),
    )


def _sections(rows: list[Row], columns: list[Column]) -> list[dict[str, Any]]:
    """Split the board into complete and incomplete strategies, as bodies of one table."""
    bodies = []
    for name, complete in (("complete", True), ("incomplete", False)):
        members = [row for row in rows if is_complete(row) is complete]
        if members:
            cells = [
                {"best": is_best(row), "cells": [_cell(row, column) for column in columns]}
                for row in members
            ]
            bodies.append({"name": name, "rows": cells})
    return bodies


def _cell(row: Row, column: Column) -> dict[str, Any]:
    """A cell's words, and its number in full as the CSV file has it, if there is one."""
    number = row[column.key] if column.numeric else None
    text = column.text(row)
    return {
        "key": column.key,
        "numeric": column.numeric,
        "text": text,
        "number": None if number is None or not text or pd.isna(number) else number,
    }


def _tasks(curves: pd.DataFrame, context: ReportContext) -> list[dict[str, Any]]:
    styles = line_styles(context.strategies)
    budgets = read_budgets(curves, context)
    tasks = []
    for facts in sorted(context.tasks, key=lambda facts: facts.name):
        runs = _finished_runs(curves, facts, budgets)
        drawn = {name: mean_curve(run, facts, context.accounting) for name, run in runs.items()}
        tasks.append(
            {
                "facts": facts,
                "figure": task_figure(drawn, styles, context) if drawn else None,
                "rows": [
                    _task_row(name, place, styles[name], facts, budgets, context)
                    for place, name in enumerate(sorted(styles))
                ],
            }
        )
    return tasks


def _finished_runs(
    curves: pd.DataFrame, facts: TaskFacts, budgets: _Budgets
) -> dict[str, list[pd.DataFrame]]:
    """Collect the curves of a task's finished runs by strategy."""
    runs: dict[str, list[pd.DataFrame]] = {}
    mine = curves[curves["task"] == facts.name]
    for cell, curve in mine.groupby(["strategy", "seed"], observed=True, sort=True):
        strategy, seed = cast("tuple[str, int]", cell)
        if (facts.name, strategy, seed) in budgets:
            runs.setdefault(strategy, []).append(curve.sort_values("cycle"))
    return runs


def _task_row(
    name: str,
    place: int,
    style: LineStyle,
    facts: TaskFacts,
    budgets: _Budgets,
    context: ReportContext,
) -> dict[str, Any]:
    runs = [
        run
        for (task, strategy, _), run in budgets.items()
        if (task, strategy) == (facts.name, name)
    ]
    found = [run.interpolated[context.accounting] for run in runs]
    reached = sum(run.reached for run in found)
    labels = sum(run.labels for run in found) / len(found) if found else math.nan
    accuracy = sum(run.accuracy_at_cap for run in runs) / len(runs) if runs else math.nan
    return {
        "strategy": name,
        "place": place,
        "style": style,
        "reached": reached,
        "runs": len(found),
        "seeds": len(set(context.seeds)),
        "labels": wording.budget(labels, reached, len(found)),
        "number": None if math.isnan(labels) else labels,
        "accuracy": None if math.isnan(accuracy) else accuracy,
    }


def _inline_script(source: str) -> Markup:
    """Make a script safe to stand inside of a script element.

    Only an end tag or a comment's opening could end the element early. Within a JavaScript
    string, where alone they may occur, the escaped spelling means the same.
    """
    source = re.sub(r"</(script)", r"<\\/\1", source, flags=re.IGNORECASE)
    return Markup(source.replace("<!--", r"<\!--"))
