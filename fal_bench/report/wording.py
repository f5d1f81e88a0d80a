"""How the report words numbers: one spelling for the terminal, the page and the sentences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from fal_bench.report.context import ReportContext
from fal_bench.stats import FEWEST_FOR_INTERVAL, can_reject

# One row of the leaderboard, by column name.
Row = Mapping[str, Any]


def percent(share: float) -> str:
    """Word a share that somebody chose, such as the target, without losing its digits."""
    return f"{100 * share:.4g} %"


def counted(number: int, noun: str) -> str:
    """Word a number of things: "1 seed", "5 seeds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def budget(labels: float, reached: int, runs: int) -> str:
    """Word a mean budget to target, in labels; empty if there is none.

    A leading ">" says that at least one run did not reach the target, so that the mean is only
    a lower bound.
    """
    if math.isnan(labels):
        return ""
    return f"{labels:.0f}" if reached == runs else f">{labels:.0f}"


def budget_with_interval(row: Row) -> str:
    """Word the budget that ranks the board: "312 [290, 334]", or "312" without an interval."""
    text = budget(row["labels"], row["reached"], row["runs"])
    if math.isnan(row["labels_low"]):
        return text
    return f"{text} [{row['labels_low']:.0f}, {row['labels_high']:.0f}]"


def rank_with_interval(row: Row) -> str:
    """Word the rank: "3 [2-5]", or "3" without an interval."""
    known = bool(pd.notna(row["rank_low"]))
    return f"{row['rank']}" + (f" [{row['rank_low']}-{row['rank_high']}]" if known else "")


def median(row: Row) -> str:
    """Word the median budget, with ">" where the median run of some task did not reach."""
    if math.isnan(row["median"]):
        return ""
    return f"{'' if row['median_reached'] else '>'}{row['median']:.0f}"


def restarts(row: Row) -> str:
    """Word the expected labels with restarts: "380", "380 [350, 420]" or "never"."""
    if math.isnan(row["ert"]):
        return ""
    if math.isinf(row["ert"]):
        return "never"
    if math.isnan(row["ert_low"]):
        return f"{row['ert']:.0f}"
    high = "never" if math.isinf(row["ert_high"]) else f"{row['ert_high']:.0f}"
    return f"{row['ert']:.0f} [{row['ert_low']:.0f}, {high}]"


def share_interval(row: Row) -> str:
    """Word the interval of the share of runs that reach: "72 to 100 %"."""
    if math.isnan(row["reached_low"]):
        return ""
    return f"{100 * row['reached_low']:.0f} to {100 * row['reached_high']:.0f} %"


def censored_pairs(row: Row) -> int:
    """Return in how many pairs only one of the two runs reached, or neither did."""
    return sum(
        0 if pd.isna(row[name]) else int(row[name])
        for name in ("pairs_strategy_censored", "pairs_baseline_censored", "pairs_both_censored")
    )


def saving_with_interval(row: Row) -> str:
    """Word the saving: "+12 % [4, 19]", "+12 %" without an interval, empty without a saving.

    A dagger marks a saving from pairs of which some are censored; the notes count them.
    """
    if math.isnan(row["saving_vs_random"]):
        return ""
    # Rounding to a whole number first avoids "-0 %".
    whole = round(100 * row["saving_vs_random"])
    text = f"{whole:+d} %" if whole else "0 %"
    mark = "\u2020" if censored_pairs(row) else ""
    if math.isnan(row["saving_low"]):
        return text + mark
    return f"{text}{mark} [{round(100 * row['saving_low'])}, {round(100 * row['saving_high'])}]"


def target(context: ReportContext) -> str:
    """Word the target: "50 %", or by how it was derived where every task has its own."""
    if not context.task_targets:
        return percent(context.target)
    derived = f"{one_line(context.baseline)} at {_share(context)} % of the cap"
    if len(context.task_targets) == 1:
        return f"{percent(context.target)} ({derived})"
    return f"the accuracy of {derived}"


def _share(context: ReportContext) -> str:
    return context.target_name.removeprefix("auto-")


def question(context: ReportContext) -> str:
    """Word the question that the board answers, without its setting."""
    return questions([context])


def questions(contexts: Sequence[ReportContext]) -> str:
    """Word the question that boards of several targets answer together, without its setting."""
    own = [context for context in contexts if len(context.task_targets) > 1]
    targets = []
    plain = [f"{100 * one.target:.4g}" for one in contexts if one not in own]
    if plain:
        targets.append(f"{_enumerated(plain)} % accuracy")
    if own:
        shares = _enumerated([_share(context) for context in own])
        targets.append(f"the accuracy of {one_line(own[0].baseline)} at {shares} % of the cap")
    return f"Labels until the federation reaches {' and '.join(targets)}"


def setting(context: ReportContext) -> str:
    """Word the setting of the question: suite, seeds and accounting."""
    seeds = counted(len(set(context.seeds)), "seed")
    return f"suite {one_line(context.suite)}, {seeds}, {context.accounting} accounting"


def has_intervals(context: ReportContext) -> bool:
    """Tell whether there are seeds enough for intervals over them."""
    return len(set(context.seeds)) >= FEWEST_FOR_INTERVAL


def no_intervals(context: ReportContext) -> str:
    """Say that the seeds are too few for intervals, and how many it takes."""
    tasks = counted(len({facts.name for facts in context.tasks}), "task")
    seeds = len(set(context.seeds))
    return (
        f"No intervals: {counted(seeds, 'seed')} on {tasks} {'is' if seeds == 1 else 'are'} too "
        f"few; it takes at least {FEWEST_FOR_INTERVAL} seeds."
    )


def span(days: tuple[date, date] | None) -> str:
    """Word the days from first to last: "2025-11-24", "2025-11-24 to 2025-11-25", or nothing."""
    if days is None:
        return ""
    return " to ".join(sorted({day.isoformat() for day in days}))


def too_few_pairs(rows: Sequence[Row], context: ReportContext) -> str:
    """Say how many pairs of runs a verdict would need, and how many there are."""
    comparisons = sum(not math.isnan(row["p_holm"]) for row in rows)
    tasks = len({facts.name for facts in context.tasks})
    pairs = tasks * len(set(context.seeds))
    needed = next(number for number in itertools.count(1) if can_reject(number, comparisons))
    return (
        f"{counted(pairs, 'pair')} of runs {'is' if pairs == 1 else 'are'} too few for "
        f"{counted(comparisons, 'comparison')}; it takes at least {needed}, "
        f"that is {counted(math.ceil(needed / tasks), 'seed')}"
    )


def no_comparison(rows: Sequence[Row], context: ReportContext) -> str:
    """Say why complete strategies cannot be compared with the baseline."""
    baseline = one_line(context.baseline)
    if any(row["strategy"] == context.baseline for row in rows):
        return (
            f"in more than half of the pairs with {baseline} neither run reached the target, or "
            "the cap hides which of the two needs fewer labels"
        )
    if context.baseline in context.strategies:
        return f"the baseline {baseline} lacks finished runs"
    return f"the baseline {baseline} is not among the strategies compared"


def listed(names: Sequence[str]) -> str:
    """Join names as in a sentence: "a, b and c"."""
    return _enumerated([one_line(name) for name in names])


def _enumerated(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def one_line(text: str) -> str:
    """Put text from a plugin or a file on one line, without control characters.

    A name or an error message must neither break a table apart nor command the terminal.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
