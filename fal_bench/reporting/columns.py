"""The rows of the leaderboard and its columns, each declared once: a new one is in ``COLUMNS``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from fal_bench.errors import one_line
from fal_bench.reporting import wording
from fal_bench.reporting.context import Accounting, ReportContext
from fal_bench.reporting.own_runs import OwnRuns
from fal_bench.task.target import ACCURACY

VERDICTS = (
    "better", "baseline", "equal", "no evidence", "too few seeds", "not comparable", "external",
    "worse",
)  # fmt: skip
"""The verdicts of ranked strategies, the best one first."""

Row = Mapping[str, Any]
"""One row of the leaderboard, by column."""

Group = Literal["ranked", "reference", "external", "incomplete"]
GROUPS: tuple[Group, ...] = ("ranked", "reference", "external", "incomplete")
"""From the top of the board to its end."""


def rows_of(leaderboard: pd.DataFrame) -> list[Row]:
    """Return the rows of a leaderboard."""
    return cast("list[Row]", leaderboard.to_dict("records"))


def group(row: Row) -> Group:
    """Return where a row stands: ranked, or after those that are, in the order of ``GROUPS``."""
    verdict: str = row["verdict"]
    if verdict == "reference":
        return "reference"
    if verdict == "incomplete":
        return "incomplete"
    return "external" if verdict == "external" and pd.isna(row["rank"]) else "ranked"


def is_ranked(row: Row) -> bool:
    """Tell whether a row is ranked: it has all its runs, of these tasks, and is no reference."""
    return group(row) == "ranked"


def is_best(row: Row) -> bool:
    """Tell whether a row is a winner: first, with a run that reached the target."""
    return is_ranked(row) and row["rank"] == 1 and row["reached"] > 0


def pair_counts(row: Row) -> tuple[int, int, int] | None:
    """Return in how many pairs only the baseline, only the strategy, or neither reached.

    None where there are no pairs.
    """
    names = ("pairs_strategy_censored", "pairs_baseline_censored", "pairs_both_censored")
    first, second, third = (row[name] for name in names)
    return None if pd.isna(first) else (int(first), int(second), int(third))


def censored_pairs(row: Row) -> int:
    """Return in how many pairs not both runs reached."""
    return sum(pair_counts(row) or ())


def has_dagger(row: Row) -> bool:
    """Tell whether a row's saving is marked: not both runs of every pair reached."""
    return not math.isnan(row["saving_vs_random"]) and censored_pairs(row) > 0


@dataclass(frozen=True)
class Column:
    """A column of the leaderboard: how it is found, and how people see it.

    A column without ``given`` and ``value`` needs several strategies, or runs of strategies that
    lack some: ``leaderboard`` fills it in.

    Attributes:
        key: its name in ``leaderboard.csv``.
        given: its value of any strategy, from the question and the strategy's label.
        value: its value of a complete strategy, from the strategy's own runs.
        dtype: its type in the table, where some values are absent and pandas would make floats.
        board: its place in the leaderboard that people see, from left to right; 0 if it is not.
        more: its place in the second table, of what is good to know but ranks nothing; likewise.
        heading: heading where there is room; "{baseline}", "{metric}" and what is spent are
            filled in.
        short: heading where room is scarce, likewise.
        text: words the cell of a row; empty if there is nothing to show.
        brief_text: does so where room is scarce, if that differs.
        kind: what it holds: numbers, the strategy's name, or a verdict.
        order: the number by which rows are sorted; that of its own key unless given.
        more_is_better: whether its largest number is the best one.
        of_metric: whether it holds values of the metric, whose better end is then the column's.
        brief: whether it is shown on a phone from the start.
        spare: under which accounting a narrow terminal leaves it out; "any" goes first.
    """

    key: str
    given: Callable[[ReportContext, str], Any] | None = None
    value: Callable[[OwnRuns], Any] | None = None
    dtype: Literal["", "Int64", "boolean"] = ""
    board: int = 0
    more: int = 0
    heading: str = ""
    short: str = ""
    text: Callable[[Row], str] = lambda _: ""
    brief_text: Callable[[Row], str] | None = None
    kind: Literal["number", "name", "verdict"] = "number"
    order: Callable[[Row], float] | None = None
    more_is_better: bool = False
    of_metric: bool = False
    brief: bool = False
    spare: Accounting | Literal["", "any"] = ""

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers, aligned to the right."""
        return self.kind == "number"

    @property
    def blank(self) -> Any:
        """What it holds where there is no value."""
        return pd.NA if self.dtype else math.nan

    def number(self, row: Row) -> float | None:
        """Return the number by which a row is sorted, in full; None if there is none."""
        if self.order is not None:
            return self.order(row)
        value = row[self.key] if self.numeric and self.text(row) else None
        return None if value is None or pd.isna(value) else value


def _plain_rank(row: Row) -> str:
    """Write the rank without its interval; empty for a strategy that is not ranked."""
    return "" if pd.isna(row["rank"]) else str(row["rank"])


def rank_range(row: Row) -> str:
    """Write the ranks that the runs leave: "2-4", "3" if that is sure; empty without a rank."""
    known = bool(pd.notna(row["rank_low"]))
    if known and row["rank_low"] < row["rank_high"]:
        return f"{row['rank_low']}-{row['rank_high']}"
    return _plain_rank(row)


def budget_with_interval(row: Row) -> str:
    """Write the budget that ranks the board: "312 [290, 334]", or "312" without an interval."""
    text = wording.budget(row["labels"], row["reached"], row["runs"])
    if math.isnan(row["labels_low"]):
        return text
    return f"{text} [{row['labels_low']:.0f}, {row['labels_high']:.0f}]"


def _median(row: Row) -> str:
    """Write the median budget, with ">" where the median run of some task did not reach."""
    if math.isnan(row["median"]):
        return ""
    return f"{'' if row['median_reached'] else '>'}{row['median']:.0f}"


def _restarts(row: Row) -> str:
    """Write the expected labels with restarts: "380", "380 [350, 420]" or "never"."""
    if math.isnan(row["ert"]):
        return ""
    if math.isinf(row["ert"]):
        return "never"
    if math.isnan(row["ert_low"]):
        return f"{row['ert']:.0f}"
    high = "never" if math.isinf(row["ert_high"]) else f"{row['ert_high']:.0f}"
    return f"{row['ert']:.0f} [{row['ert_low']:.0f}, {high}]"


def _share_interval(row: Row) -> str:
    """Write the interval of the share of runs that reach: "72 to 100 %"."""
    if math.isnan(row["reached_low"]):
        return ""
    return f"{100 * row['reached_low']:.0f} to {100 * row['reached_high']:.0f} %"


def saving_with_interval(row: Row) -> str:
    """Write the saving: "+12 % [4, 19]", "+12 %" without an interval, empty without a saving.

    An interval that is open to one side is written "[4 or more]". A dagger marks a saving from
    pairs of which some are censored; the notes count them.
    """
    if math.isnan(row["saving_vs_random"]):
        return ""
    text = wording.signed(row["saving_vs_random"]) + ("\u2020" if has_dagger(row) else "")
    return wording.bracketed(text, row["saving_low"], row["saving_high"])


def _wider_saving(row: Row) -> str:
    if math.isnan(row["saving_ladder"]):
        return ""
    text = wording.signed(row["saving_ladder"])
    return wording.bracketed(text, row["saving_ladder_low"], row["saving_ladder_high"])


def _tasks_won(row: Row) -> str:
    """Write the tasks won and lost: "2 / 0"."""
    return "" if pd.isna(row["tasks_won"]) else f"{row['tasks_won']} / {row['tasks_lost']}"


def _budget(key: str) -> Callable[[Row], str]:
    return lambda row: wording.budget(row[key], row["reached"], row["runs"])


def _metric(row: Row) -> str:
    return str(row.get("metric", ACCURACY))


def _target_accuracy(context: ReportContext, strategy: str) -> Any:  # noqa: ARG001
    return context.target if context.metric == ACCURACY else math.nan


def _external_file(context: ReportContext, strategy: str) -> Any:
    external = context.external(strategy)
    return external.origin.file if external else math.nan


def _verdict_order(row: Row) -> float:
    known = row["verdict"] in VERDICTS
    return VERDICTS.index(row["verdict"]) if known else len(VERDICTS)


COLUMNS = (
    Column(
        "rank", dtype="Int64", board=1, heading="Rank", short="#", brief=True,
        text=rank_range,
    ),
    Column(
        "strategy", given=lambda _, strategy: strategy, kind="name", brief=True,
        board=2, more=1, heading="Strategy", short="strategy", text=lambda row: row["strategy"],
    ),
    Column("target_acc", given=_target_accuracy),
    Column("accounting", given=lambda context, _: context.accounting),
    Column("tasks"),
    Column("runs"),
    Column(
        "reached", board=3, heading="Runs reached", short="reached", more_is_better=True,
        text=lambda row: f"{row['reached']}/{row['runs']}",
    ),
    Column(
        "labels", value=lambda own: own.budget.mean, board=4, brief=True,
        heading="{Spent} to target{of_labels}", short="{spent}",
        text=budget_with_interval,
    ),
    Column("labels_low", value=lambda own: own.budget.low),
    Column("labels_high", value=lambda own: own.budget.high),
    Column(
        "labels_step", value=lambda own: own.step, board=5, spare="any",
        heading="Step value", short="step", text=_budget("labels_step"),
    ),
    Column(
        "labels_paper", value=lambda own: own.labels("paper"), board=7, spare="paper",
        heading="Paper labels", short="paper", text=_budget("labels_paper"),
    ),
    Column(
        "labels_strict", value=lambda own: own.labels("strict"), board=6, spare="strict",
        heading="Strict labels", short="strict", text=_budget("labels_strict"),
    ),
    Column(
        "budget_pct", value=lambda own: own.pool_share, more=5,
        heading="Share of the pool", short="pool",
        text=lambda row: wording.share(row["budget_pct"] / 100),
    ),
    Column(
        "saving_vs_random", board=8, more_is_better=True,
        heading="Saving against {baseline}", short="saving", text=saving_with_interval,
    ),
    Column("saving_low"),
    Column("saving_high"),
    Column(
        "saving_ladder", more=8, more_is_better=True,
        heading="Saving over a ladder of targets", short="ladder", text=_wider_saving,
    ),
    Column("saving_ladder_low"),
    Column("saving_ladder_high"),
    Column(
        "verdict", kind="verdict", board=9, heading="Verdict", short="verdict", brief=True,
        text=lambda row: row["verdict"], order=_verdict_order,
    ),
    Column(
        "accuracy_final", value=lambda own: own.mean(lambda run: run.accuracy_at_cap), more=7,
        heading="{Metric} at the cap", short="final", of_metric=True,
        text=lambda row: wording.measured(row["accuracy_final"], _metric(row)),
    ),
    Column("rank_low", dtype="Int64"),
    Column("rank_high", dtype="Int64"),
    Column(
        "reached_low", value=lambda own: own.reached[0], more=2, more_is_better=True,
        heading="Share that reaches (95 %)", short="share", text=_share_interval,
    ),
    Column("reached_high", value=lambda own: own.reached[1]),
    Column(
        "median", more=3, heading="Median {of}", short="median", text=_median,
        value=lambda own: float(np.mean([one.labels for one in own.medians] or [math.nan])),
    ),
    Column(
        "median_reached", dtype="boolean",
        value=lambda own: all(one.reached for one in own.medians) if own.medians else pd.NA,
    ),
    Column(
        "ert", value=lambda own: own.restarts.mean, more=4,
        heading="{Spent} with restarts (ERT)", short="ERT", text=_restarts,
    ),
    Column("ert_low", value=lambda own: own.restarts.low),
    Column("ert_high", value=lambda own: own.restarts.high),
    Column(
        "aulc", value=lambda own: own.mean(lambda run: run.area), more=6, of_metric=True,
        heading="Mean {metric} (AULC)", short="AULC",
        text=lambda row: wording.measured(row["aulc"], _metric(row)),
    ),
    Column(
        "pairs_strategy_censored", dtype="Int64", more=9, short="censored",
        heading="Pairs where only baseline / only strategy / neither reached",
        text=lambda row: " / ".join(map(str, pair_counts(row) or ())),
    ),
    Column("pairs_baseline_censored", dtype="Int64"),
    Column("pairs_both_censored", dtype="Int64"),
    Column("pairs", dtype="Int64"),
    Column(
        "tasks_won", dtype="Int64", more=10, more_is_better=True,
        heading="Tasks won / lost", short="won", text=_tasks_won,
    ),
    Column("tasks_lost", dtype="Int64"),
    Column("saving_across_low"),
    Column("saving_across_high"),
    Column("target_name", given=lambda context, _: context.target_name or math.nan),
    Column("trainer", given=lambda context, name: dict(context.trainers).get(name, math.nan)),
    Column("source", given=_external_file),
    Column("metric", given=lambda context, _: context.metric),
    Column("target", given=lambda context, _: context.target),
)  # fmt: skip
"""All columns, in the order of ``leaderboard.csv``."""

KEYS = tuple(column.key for column in COLUMNS)

_ALWAYS = {"rank", "strategy", "labels", "verdict"}
"""Columns without which a board is none."""


def telling(
    columns: Sequence[Column], rows: Sequence[Row], accounting: Accounting
) -> tuple[list[Column], tuple[tuple[str, str], ...]]:
    """Leave out the columns that say nothing of a board.

    These are columns of numbers with the same text in every row, or without any, and those that
    repeat the labels that rank the board.

    Args:
        columns: the columns of a table, from left to right.
        rows: its rows.
        accounting: which labels rank the board.

    Returns:
        The columns that are left; and, for those left out that had something to say, heading and
        text, which is empty where it is that of the ranking labels.
    """
    ranking = [_budget("labels")(row) for row in rows]
    left, alike = [], []
    for column in columns:
        texts = [column.text(row) for row in rows]
        if column.key in _ALWAYS or not column.numeric:
            left.append(column)
        elif texts == ranking:
            if column.spare != accounting and any(texts):
                alike.append((column.short, ""))
        elif len(set(texts)) == 1 and len(texts) > 1:
            if texts[0]:
                alike.append((column.short, texts[0]))
        else:
            left.append(column)
    return left, tuple(alike)


def columns_shown(table: Literal["board", "more"], context: ReportContext) -> list[Column]:
    """Return the columns of a table that people see, from left to right, with whole headings.

    Args:
        table: the leaderboard, or the second table.
        context: the question.
    """
    metric = wording.metric(context)
    priced = context.accounting == "cost"
    words = {
        "baseline": one_line(context.baseline),
        "spent": "cost" if priced else f"{context.accounting} labels",
        "of": context.spent,
        "Spent": "Cost" if priced else "Labels",
        "of_labels": "" if priced else f" ({context.accounting})",
        "metric": metric,
        "Metric": metric[0].upper() + metric[1:],
    }
    return [
        replace(
            column,
            heading=column.heading.format(**words),
            short=column.short.format(**words),
            more_is_better=context.higher_is_better if column.of_metric else column.more_is_better,
        )
        for column in sorted(COLUMNS, key=lambda column: int(getattr(column, table)))
        if getattr(column, table)
    ]
