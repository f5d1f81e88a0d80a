"""The columns of the leaderboard that people see: the same ones in the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from fal_bench.report import wording
from fal_bench.report.context import ReportContext
from fal_bench.report.rows import Row


@dataclass(frozen=True)
class Column:
    """A column that people see.

    Attributes:
        key: the column of the leaderboard (and of its CSV file) whose number is shown.
        short: heading where room is scarce.
        heading: heading where there is room.
        text: words the cell of a row; empty if there is nothing to show.
        numeric: whether the column holds numbers, aligned to the right.
        more_is_better: whether its largest number is the best one.
        brief: whether it is shown on a phone from the start.
    """

    key: str
    short: str
    heading: str
    text: Callable[[Row], str]
    numeric: bool = True
    more_is_better: bool = False
    brief: bool = False


def board_columns(context: ReportContext) -> list[Column]:
    """Return the columns in the order of reading: place, result, comparison."""
    baseline = wording.one_line(context.baseline)
    return [
        Column("rank", "#", "Rank", _rank, brief=True),
        _strategy_column(),
        Column("reached", "reached", "Runs reached", reached, more_is_better=True),
        Column(
            "labels",
            f"{context.accounting} labels",
            f"Labels to target ({context.accounting})",
            wording.budget_with_interval,
            brief=True,
        ),
        Column("labels_step", "step", "Step value", lambda row: _budget(row, "labels_step")),
        Column(
            "labels_strict", "strict", "Strict labels", lambda row: _budget(row, "labels_strict")
        ),
        Column("labels_paper", "paper", "Paper labels", lambda row: _budget(row, "labels_paper")),
        Column(
            "saving_vs_random",
            "saving",
            f"Saving against {baseline}",
            wording.saving_with_interval,
            more_is_better=True,
        ),
        Column(
            "verdict", "verdict", "Verdict", lambda row: row["verdict"], numeric=False, brief=True
        ),
    ]


def _strategy_column() -> Column:
    return Column(
        "strategy", "strategy", "Strategy", lambda row: row["strategy"], numeric=False, brief=True
    )


def secondary_columns() -> list[Column]:
    """Return the columns of the second table: what is good to know, but ranks nothing."""
    return [
        _strategy_column(),
        Column(
            "reached_low",
            "share",
            "Share that reaches (95 %)",
            wording.share_interval,
            more_is_better=True,
        ),
        Column("median", "median", "Median labels", wording.median),
        Column("ert", "ERT", "Labels with restarts (ERT)", wording.restarts),
        Column("budget_pct", "pool", "Share of the pool", lambda row: _percent(row["budget_pct"])),
        Column(
            "aulc",
            "AULC",
            "Mean accuracy (AULC)",
            lambda row: _percent(100 * row["aulc"]),
            more_is_better=True,
        ),
        Column(
            "accuracy_final",
            "final",
            "Accuracy at the cap",
            lambda row: _percent(100 * row["accuracy_final"]),
            more_is_better=True,
        ),
        Column("p_holm", "p", "p (Holm)", lambda row: _p_value(row["p_holm"])),
        Column(
            "pairs_strategy_censored",
            "censored",
            "Pairs where only baseline / only strategy / neither reached",
            _censored,
        ),
    ]


def reached(row: Row) -> str:
    """Word how many of the finished runs reached the target: "9/10"."""
    return f"{row['reached']}/{row['runs']}"


def _rank(row: Row) -> str:
    return wording.rank_with_interval(row)


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1f} %"


def _p_value(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _censored(row: Row) -> str:
    names = ("pairs_strategy_censored", "pairs_baseline_censored", "pairs_both_censored")
    return "" if pd.isna(row[names[0]]) else " / ".join(str(row[name]) for name in names)


def _budget(row: Row, key: str) -> str:
    return wording.budget(row[key], row["reached"], row["runs"])
