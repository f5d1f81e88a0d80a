"""The leaderboard in the terminal, and the sentences that belong below it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fal_bench.report import wording
from fal_bench.report.columns import (
    GROUPS,
    Column,
    board_columns,
    group,
    is_best,
    is_ranked,
    plain_rank,
)
from fal_bench.report.context import ReportContext, TaskFacts
from fal_bench.report.external import origin_sentences
from fal_bench.report.verdict import trainer_sentences
from fal_bench.report.wording import Row

_VERDICT_STYLES = {"better": "green", "worse": "red"}
_UNBOUNDED = 10_000
# Where room is scarce: "not comparable" takes two lines, and names wrap, though not below a width
# at which one still recognises them.
_NARROW_VERDICT = 11
_NARROWEST_NAME = 12


def leaderboard_table(
    leaderboard: pd.DataFrame, context: ReportContext, *, width: int | None = None
) -> Table:
    """Lay the leaderboard out for a terminal.

    Where it does not fit, the step value goes first, then the column of the accounting that
    ranks the board, whose numbers stand in the column of budgets anyway, then the intervals of
    the ranks. Both accountings and the comparison with the baseline always stay. After that names
    wrap, and numbers at the very last.

    Args:
        leaderboard: the table of ``build_leaderboard``.
        context: the question it answers.
        width: columns of the terminal; by default those of rich's own console.

    Returns:
        The table, best row emphasised; what is not ranked is dimmed after a rule.
    """
    width = Console().width if width is None else width
    rows = cast("list[Row]", leaderboard.to_dict("records"))
    columns = board_columns(context)
    table = _lay_out(rows, columns)
    for key in ("labels_step", f"labels_{context.accounting}"):
        if _natural_width(table) > width:
            columns = [column for column in columns if column.key != key]
            table = _lay_out(rows, columns)
    if _natural_width(table) > width:
        columns = [
            replace(column, text=plain_rank) if column.key == "rank" else column
            for column in columns
        ]
        table = _lay_out(rows, columns)
    if _natural_width(table) > width:
        table = _lay_out_narrow(rows, columns, width)
    asked, setting = wording.question(context), wording.setting(context)
    fits = cell_len(f"{asked}, {setting}") <= min(width, _natural_width(table))
    table.title = Text(f"{asked}, {setting}" if fits else f"{asked},\n{setting}", style="bold")
    return table


def _natural_width(table: Table) -> int:
    return Console(width=_UNBOUNDED).measure(table).maximum


def _lay_out_narrow(rows: list[Row], columns: list[Column], width: int) -> Table:
    widths = {"verdict": _NARROW_VERDICT}
    excess = _natural_width(_lay_out(rows, columns, widths)) - width
    if excess > 0:
        longest = max(cell_len(wording.one_line(row["strategy"])) for row in rows)
        widths["strategy"] = max(_NARROWEST_NAME, longest - excess)
    return _lay_out(rows, columns, widths)


def _lay_out(
    rows: list[Row], columns: list[Column], widths: Mapping[str, int] | None = None
) -> Table:
    """Lay out these columns; ``widths`` are upper limits by column."""
    table = Table(
        title_justify="left",
        box=box.HORIZONTALS,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        table.add_column(
            column.short,
            justify="right" if column.numeric else "left",
            overflow="fold",
            max_width=(widths or {}).get(column.key),
        )
    for name in GROUPS:
        members = [row for row in rows if group(row) == name]
        if members and table.rows:
            table.add_section()
        for row in members:
            style = "bold" if is_best(row) else None
            table.add_row(*_cells(row, columns), style=style if name == "ranked" else "dim")
    return table


def _cells(row: Row, columns: list[Column]) -> list[Text]:
    """Make the cells as Text: rich would read "[mode=online]" in a plain string as markup."""
    cells = []
    for column in columns:
        text = wording.one_line(column.text(row)) or "-"
        style = _VERDICT_STYLES.get(text, "") if column.key == "verdict" else ""
        cells.append(Text(text, style=style))
    return cells


def footer(leaderboard: pd.DataFrame, context: ReportContext) -> list[str]:
    """Say in plain sentences what one must know to read the leaderboard.

    Args:
        leaderboard: the table of ``build_leaderboard``.
        context: the question it answers.

    Returns:
        The sentences. They may hold square brackets: print them without markup.
    """
    rows = cast("list[dict[str, Any]]", leaderboard.to_dict("records"))
    return [
        _resolution(context),
        _censoring(context),
        _sample(context),
        *_ranks([row for row in rows if is_ranked(row)], context),
        *_verdicts([row for row in rows if is_ranked(row)], context),
        *trainer_sentences([row for row in rows if is_ranked(row)], context),
        *_censored_pairs([row for row in rows if group(row) != "incomplete"], context),
        *_too_hard(rows, context),
        *origin_sentences(
            context.externals, {row["strategy"]: row for row in rows}, context.accounting
        ),
        *_missing(context),
    ]


def _resolution(context: ReportContext) -> str:
    step = _per_task(context, {facts.name: facts.query_labels for facts in context.tasks})
    return (
        f"Resolution: the model is evaluated once a query, every {step}; budgets between two "
        "evaluations are interpolated, the step value is the evaluation that confirmed them."
    )


def _censoring(context: ReportContext) -> str:
    cap = _per_task(context, {facts.name: facts.cap for facts in context.tasks})
    return (
        "Reached means at or above the target at two evaluations in a row; a run that does not "
        f"get there by the cap of {cap} counts with the labels it had at the cap, and "
        '">" marks a mean with such runs: it is a lower bound.'
    )


def _per_task(context: ReportContext, numbers: dict[str, int]) -> str:
    """Word a number of labels once if the tasks agree, else task by task."""
    tasks: dict[int, list[str]] = defaultdict(list)
    for facts in _tasks(context):
        tasks[numbers[facts.name]].append(facts.name)
    if len(tasks) == 1:
        return wording.counted(next(iter(tasks)), "label")
    return ", ".join(
        f"{wording.counted(number, 'label')} ({wording.listed(names)})"
        for number, names in tasks.items()
    )


def _tasks(context: ReportContext) -> list[TaskFacts]:
    return sorted(context.tasks, key=lambda facts: facts.name)


def _sample(context: ReportContext) -> str:
    tasks = len({facts.name for facts in context.tasks})
    seeds = len(set(context.seeds))
    text = f"{wording.counted(seeds, 'seed')} on {wording.counted(tasks, 'task')}; "
    if seeds == 1:
        return text + "there are no intervals, since they need at least two seeds."
    return (
        text + "brackets are 95 % intervals over the seeds; there is none around a budget that "
        "fewer than half of the runs, or fewer than three, reached."
    )


def _verdicts(complete: list[dict[str, Any]], context: ReportContext) -> list[str]:
    baseline = wording.one_line(context.baseline)
    verdicts = {row["verdict"] for row in complete}
    sentences = []
    if verdicts & {"better", "worse", "no evidence", "n too small"}:
        sentences.append(
            f"Savings and verdicts compare runs of the same task and seed with {baseline}; a "
            "verdict needs p <= 0.05 in a sign-flip test after Holm's correction."
        )
    if "n too small" in verdicts:
        sentences.append(f"n too small: {wording.too_few_pairs(complete, context)}.")
    if "not comparable" in verdicts:
        sentences.append(f"not comparable: {wording.no_comparison(complete, context)}.")
    return sentences


def _ranks(complete: list[dict[str, Any]], context: ReportContext) -> list[str]:
    if not any(pd.notna(row["rank_low"]) for row in complete):
        return []
    drawn = "tasks, and seeds within them," if len(_tasks(context)) > 1 else "seeds"
    return [
        f"Brackets after a rank, where shown: the rank in 95 % of boards whose {drawn} are drawn "
        "again."
    ]


def _censored_pairs(complete: list[dict[str, Any]], context: ReportContext) -> list[str]:
    baseline = wording.one_line(context.baseline)
    sentences = []
    for row in complete:
        if math.isnan(row["saving_vs_random"]) or not wording.censored_pairs(row):
            continue
        counts = {
            f"only {baseline} did, which makes the strategy look better than it is": row[
                "pairs_strategy_censored"
            ],
            "only the strategy did, which makes it look worse": row["pairs_baseline_censored"],
            "neither did, which pulls the saving towards nothing": row["pairs_both_censored"],
        }
        said = "; ".join(f"{number}: {text}" for text, number in counts.items() if number)
        pairs = wording.counted(row["runs"], "pair")
        sentences.append(
            f"\u2020 {wording.one_line(row['strategy'])}: of {pairs}, not both runs reached the "
            f"target in {wording.censored_pairs(row)} ({said})."
        )
    return sentences


def _too_hard(rows: list[dict[str, Any]], context: ReportContext) -> list[str]:
    for row in rows:
        if row["strategy"] == context.baseline and 2 * row["reached"] < row["runs"]:
            return [
                f"The target is too hard for this budget: {wording.one_line(context.baseline)} "
                f"reached it in {row['reached']} of {wording.counted(row['runs'], 'run')}; "
                "--target-acc auto finds targets within reach."
            ]
    return []


def _missing(context: ReportContext) -> list[str]:
    seeds: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for cell in context.missing:
        seeds[cell.task, cell.strategy, wording.one_line(cell.reason)].add(cell.seed)
    sentences = []
    for (task, strategy, reason), numbers in sorted(seeds.items()):
        noun = "seed" if len(numbers) == 1 else "seeds"
        numbers_text = wording.listed([str(number) for number in sorted(numbers)])
        sentences.append(
            f"Missing: {wording.one_line(strategy)} on {wording.one_line(task)}, {noun} "
            f"{numbers_text}: {reason or 'no reason known'}"
        )
    return [text if text.endswith((".", "!", "?")) else f"{text}." for text in sentences]
