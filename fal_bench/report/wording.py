"""How the report writes numbers and names: one spelling for terminal, page and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import pandas as pd

from fal_bench.report.context import ReportContext
from fal_bench.report.rows import Row, censored_pairs

IN_SENTENCES = (
    "change",
    "change_interval",
    "counted",
    "listed",
    "measured",
    "metric",
    "one_line",
    "p_value",
    "target",
    "target_value",
    "tasks",
)
"""What the template of sentences may call."""


def percent(share: float) -> str:
    """Write a share that somebody chose, such as the target, without losing its digits."""
    return f"{100 * share:.4g} %"


def share(value: float) -> str:
    """Write a share that was measured: "61.3 %"; empty if there is none."""
    return "" if math.isnan(value) else f"{100 * value:.1f} %"


def counted(number: int, noun: str) -> str:
    """Write a number of things: "1 seed", "5 seeds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def tasks(context: ReportContext) -> int:
    """Return the number of tasks."""
    return len({facts.name for facts in context.tasks})


def budget(labels: float, reached: int, runs: int) -> str:
    """Write a mean budget to target, in labels; empty if there is none.

    A leading ">" says that at least one run did not reach the target, so that the mean is only
    a lower bound.
    """
    if math.isnan(labels):
        return ""
    return f"{labels:.0f}" if reached == runs else f">{labels:.0f}"


def budget_with_interval(row: Row) -> str:
    """Write the budget that ranks the board: "312 [290, 334]", or "312" without an interval."""
    text = budget(row["labels"], row["reached"], row["runs"])
    if math.isnan(row["labels_low"]):
        return text
    return f"{text} [{row['labels_low']:.0f}, {row['labels_high']:.0f}]"


def rank_with_interval(row: Row) -> str:
    """Write the rank: "3 [2-5]", "3" without an interval, empty without a rank."""
    known = bool(pd.notna(row["rank_low"]))
    return plain_rank(row) + (f" [{row['rank_low']}-{row['rank_high']}]" if known else "")


def plain_rank(row: Row) -> str:
    """Write the rank without its interval; empty for a strategy that is not ranked."""
    return "" if pd.isna(row["rank"]) else str(row["rank"])


def median(row: Row) -> str:
    """Write the median budget, with ">" where the median run of some task did not reach."""
    if math.isnan(row["median"]):
        return ""
    return f"{'' if row['median_reached'] else '>'}{row['median']:.0f}"


def restarts(row: Row) -> str:
    """Write the expected labels with restarts: "380", "380 [350, 420]" or "never"."""
    if math.isnan(row["ert"]):
        return ""
    if math.isinf(row["ert"]):
        return "never"
    if math.isnan(row["ert_low"]):
        return f"{row['ert']:.0f}"
    high = "never" if math.isinf(row["ert_high"]) else f"{row['ert_high']:.0f}"
    return f"{row['ert']:.0f} [{row['ert_low']:.0f}, {high}]"


def share_interval(row: Row) -> str:
    """Write the interval of the share of runs that reach: "72 to 100 %"."""
    if math.isnan(row["reached_low"]):
        return ""
    return f"{100 * row['reached_low']:.0f} to {100 * row['reached_high']:.0f} %"


def signed(saving: float) -> str:
    """Write a saving: "+12 %", "-3 %" or "0 %"; empty if there is none."""
    if math.isnan(saving):
        return ""
    # Rounding to a whole number first avoids "-0 %".
    whole = round(100 * saving)
    return f"{whole:+d} %" if whole else "0 %"


def bracketed(text: str, low: float, high: float) -> str:
    """Write the interval of a saving behind it: "+12 % [4, 19]"; none if there is none."""
    return text if math.isnan(low) else f"{text} [{round(100 * low)}, {round(100 * high)}]"


def saving_with_interval(row: Row) -> str:
    """Write the saving: "+12 % [4, 19]", "+12 %" without an interval, empty without a saving.

    A dagger marks a saving from pairs of which some are censored; the notes count them.
    """
    if math.isnan(row["saving_vs_random"]):
        return ""
    text = signed(row["saving_vs_random"]) + ("\u2020" if censored_pairs(row) else "")
    return bracketed(text, row["saving_low"], row["saving_high"])


def change(saving: float) -> str:
    """Write a saving that is not nothing in words: "12 % fewer", "below 1 % more"."""
    size = round(100 * abs(saving))
    return f"{f'{size} %' if size else 'below 1 %'} {'more' if saving < 0 else 'fewer'}"


def change_interval(low: float, high: float) -> str:
    """Write the interval of a saving in the saving's own direction."""
    if low < 0 < high:
        return f"from {change(low)} to {change(high)}"
    near, far = sorted((abs(round(100 * low)), abs(round(100 * high))))
    return f"{near} to {far} %"


def p_value(value: float) -> str:
    """Write a p-value behind its letter: "= 0.016" or "< 0.001"; empty if there is none."""
    if math.isnan(value):
        return ""
    return f"= {value:.2g}" if value >= 0.001 else "< 0.001"


def metric(context: ReportContext) -> str:
    """Return the metric's name in words."""
    return one_line(context.metric.replace("_", " "))


def measured(value: float, metric: str) -> str:
    """Write a value of a metric: accuracies as "61.3 %", others as "0.613"; empty if unknown."""
    if metric == "accuracy" or math.isnan(value):
        return share(value)
    return f"{value:.3g}"


def target(context: ReportContext) -> str:
    """Write the target: "50 %", or by how it was derived where every task has its own."""
    if not context.task_targets:
        return target_value(context)
    derived = f"{one_line(context.baseline)} at {_cap_share(context)} % of the cap"
    if len(context.task_targets) == 1:
        return f"{target_value(context)} ({derived})"
    return f"the {metric(context)} of {derived}"


def value(target: float, metric: str) -> str:
    """Write a target without losing its digits: accuracies as "50 %", others as "0.5"."""
    return percent(target) if metric == "accuracy" else f"{target:.4g}"


def target_value(context: ReportContext) -> str:
    """Write the target's own value: "50 %", "log loss 0.8"."""
    name = "" if context.metric == "accuracy" else f"{metric(context)} "
    return name + value(context.target, context.metric)


def _cap_share(context: ReportContext) -> str:
    return context.target_name.rpartition("auto-")[2]


def questions(contexts: Sequence[ReportContext]) -> str:
    """Write the question that boards of several targets answer together, without its setting."""
    targets = []
    for name in dict.fromkeys(metric(one) for one in contexts):
        mine = [one for one in contexts if metric(one) == name]
        plain = [one for one in mine if len(one.task_targets) <= 1]
        own = [one for one in mine if len(one.task_targets) > 1]
        if plain and name == "accuracy":
            values = listed([f"{100 * one.target:.4g}" for one in plain])
            targets.append(f"{values} % accuracy")
        elif plain:
            targets.append(f"{name} {listed([f'{one.target:.4g}' for one in plain])}")
        if own:
            shares = listed([_cap_share(one) for one in own])
            targets.append(f"the {name} of {one_line(own[0].baseline)} at {shares} % of the cap")
    return f"Labels until the federation reaches {' and '.join(targets)}"


def question(context: ReportContext) -> str:
    """Write the question that a board answers, without its setting."""
    return questions([context])


def setting(context: ReportContext) -> str:
    """Write the setting of the question: suite, seeds and accounting."""
    seeds = counted(len(set(context.seeds)), "seed")
    return f"suite {one_line(context.suite)}, {seeds}, {context.accounting} accounting"


def span(days: tuple[date, date] | None) -> str:
    """Write the days from first to last: "2025-11-24", "2025-11-24 to 2025-11-25", or nothing."""
    if days is None:
        return ""
    return " to ".join(sorted({day.isoformat() for day in days}))


def listed(names: Sequence[object]) -> str:
    """Join names as in a sentence: "a, b and c"."""
    words = [one_line(str(name)) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def one_line(text: str) -> str:
    """Put text from a plugin or a file on one line, without control characters.

    A name or an error message must neither break a table apart nor command the terminal.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
