"""The result in words: who needed the fewest labels, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import pandas as pd

from fal_bench.report import wording
from fal_bench.report.columns import group, is_best, is_ranked
from fal_bench.report.context import ReportContext
from fal_bench.report.wording import Row


def verdict_sentences(leaderboard: pd.DataFrame, context: ReportContext) -> list[str]:
    """Say what the leaderboard shows, and no more than it shows.

    Args:
        leaderboard: the table of ``build_leaderboard``.
        context: the question it answers.

    Returns:
        Sentences, the most important one first: the winner or why there is none, the other
        strategies by their verdict, what was not tested, and what is not ranked.
    """
    rows = cast("list[Row]", leaderboard.to_dict("records"))
    complete = [row for row in rows if is_ranked(row)]
    best = [row for row in complete if is_best(row)]
    if not complete:
        sentences = ["No strategy has a finished run for every task and seed: nothing is ranked."]
    elif not best:
        sentences = [_nobody(complete, context)]
    elif len(complete) == 1:
        sentences = [_alone(best[0], context)]
    else:
        sentences = [_winner(best, complete, context), *_others(best, complete, context)]
    return [*sentences, *trainer_sentences(complete, context), *_not_ranked(rows, context)]


def key_facts(leaderboard: pd.DataFrame, context: ReportContext) -> list[tuple[str, str]]:
    """Return who won, by how much and how sure that is, for readers in a hurry.

    Args:
        leaderboard: the table of ``build_leaderboard``.
        context: the question it answers.

    Returns:
        Names and values, the most important first; nothing without a single winner.
    """
    rows = cast("list[Row]", leaderboard.to_dict("records"))
    complete = [row for row in rows if is_ranked(row)]
    best = [row for row in complete if is_best(row)]
    if len(best) != 1 or len(complete) < 2:
        return []
    row, baseline = best[0], wording.one_line(context.baseline)
    facts = [
        ("Fewest labels", wording.one_line(row["strategy"])),
        (_with_interval("Labels to target", row["labels_low"]), wording.budget_with_interval(row)),
    ]
    if row["verdict"] == "baseline":
        return [*facts, ("Verdict", "no strategy did better than the baseline")]
    if not math.isnan(row["saving_vs_random"]):
        name = _with_interval(f"Saving against {baseline}", row["saving_low"])
        facts.append((name, wording.saving_with_interval(row)))
    words = {
        "better": f"better than {baseline} beyond chance",
        "worse": f"worse than {baseline}, pair by pair",
        "no evidence": f"no evidence of a difference from {baseline}",
        "n too small": f"too few runs to tell from {baseline}",
        "not comparable": f"not comparable with {baseline}",
    }
    words["external"] = f"measured elsewhere, not tested against {baseline}"
    sure = words[row["verdict"]]
    if row["verdict"] in ("better", "worse", "no evidence"):
        sure += f", {_p_value(row['p_holm'])}"
    return [*facts, ("How sure", sure)]


def _with_interval(name: str, low: float) -> str:
    """Say in a fact's name what the brackets behind its number are, if there are any."""
    return name if math.isnan(low) else f"{name} (95 % interval)"


def trainer_sentences(complete: Sequence[Row], context: ReportContext) -> list[str]:
    """Warn where ranks compare selection and training at once.

    Args:
        complete: the ranked rows.
        context: the question, with the trainer of every strategy.
    """
    known = dict(context.trainers)
    trainers = sorted({known[row["strategy"]] for row in complete if row["strategy"] in known})
    if len(trainers) < 2:
        return []
    return [
        f"Strategies differ in how clients train ({wording.listed(trainers)}), so these ranks "
        "compare selection and training together."
    ]


def _not_ranked(rows: list[Row], context: ReportContext) -> list[str]:
    expected = _tasks(context) * len(set(context.seeds))
    sentences = [
        f"{wording.one_line(row['strategy'])} is a reference that sees the true labels and is not "
        f"ranked; it needed {_budget(row)} on average."
        for row in rows
        if group(row) == "reference"
    ]
    elsewhere = [row["strategy"] for row in rows if group(row) == "external"]
    if elsewhere:
        sentences.append(
            f"Measured elsewhere and not ranked: {wording.listed(elsewhere)}; the notes below the "
            "leaderboard say why."
        )
    names = [
        f"{row['strategy']} ({row['runs']} of {expected} runs)"
        for row in rows
        if group(row) == "incomplete"
    ]
    if names:
        sentences.append(f"Not ranked for want of finished runs: {wording.listed(names)}.")
    return sentences


def _nobody(complete: list[Row], context: ReportContext) -> str:
    caps = sorted({facts.cap for facts in context.tasks})
    cap = " or ".join(wording.counted(number, "label") for number in caps)
    target = wording.target(context)
    text = f"No strategy reached {target} in any run within the cap of {cap}"
    known = [row for row in complete if not math.isnan(row["accuracy_final"])]
    if not known:
        return f"{text}; a lower target or a higher cap would tell the strategies apart."
    nearest = max(known, key=lambda row: row["accuracy_final"])
    return (
        f"{text}; {wording.one_line(nearest['strategy'])} came nearest, with "
        f"{100 * nearest['accuracy_final']:.1f} % mean accuracy at the cap."
    )


def _alone(row: Row, context: ReportContext) -> str:
    why = "it is the only strategy with all its runs finished"
    if len(set(context.strategies)) == 1:
        why = "it is the only strategy"
    return f"{_needed(row, context)}; {why}, so there is nothing to compare it with."


def _winner(best: list[Row], complete: list[Row], context: ReportContext) -> str:
    if len(best) > 1:
        shared = _budget(best[0])
        names = wording.listed([row["strategy"] for row in best])
        return f"{names} share the first place: each needed {shared} on average."
    row = best[0]
    name, baseline = wording.one_line(row["strategy"]), wording.one_line(context.baseline)
    if row["verdict"] == "better":
        tasks = wording.counted(_tasks(context), "task")
        return (
            f"{name} reached {wording.target(context)} with {_difference(row, context)}, "
            f"on {tasks} and {row['reached']} of {wording.counted(row['runs'], 'run')}."
        )
    if row["verdict"] == "baseline":
        return f"No strategy did better than the baseline: {_needed(row, context)}."
    text = f"{name} needed the fewest labels ({_budget(row)} on average; {_share(row, context)})"
    if row["verdict"] == "no evidence":
        return (
            f"{text}, {_difference(row, context)}, but this is no evidence that it differs from "
            f"{baseline}: {_p_value(row['p_holm'])} in a paired test after Holm's correction."
        )
    if row["verdict"] == "n too small":
        return (
            f"{text}, {_difference(row, context)}, but this may be chance: "
            f"{wording.too_few_pairs(complete, context)}."
        )
    if row["verdict"] == "external":
        return f"{text}, but was measured elsewhere and is not tested against {baseline}."
    if row["verdict"] == "worse":
        return f"{text}, and yet pair by pair it needed {_difference(row, context)}."
    why = wording.no_comparison(complete, context)
    return f"{text}, but it cannot be compared with {baseline}: {why}."


def _others(best: list[Row], complete: list[Row], context: ReportContext) -> list[str]:
    """Say how the others compare with the baseline, and what was not tested."""
    # A single winner has had its sentence; of several, each still needs its comparison.
    rest = [row for row in complete if len(best) > 1 or row is not best[0]]
    baseline = wording.one_line(context.baseline)
    openings = {
        "better": f"Fewer labels than {baseline} beyond chance",
        "worse": f"More labels than {baseline} beyond chance",
        "no evidence": f"No evidence of a difference from {baseline}",
        "n too small": f"Too few runs to tell from {baseline}",
        "not comparable": f"Not comparable with {baseline}",
        "external": f"Measured elsewhere and not tested against {baseline}",
    }
    sentences = []
    for verdict, opening in openings.items():
        rows = [row for row in rest if row["verdict"] == verdict]
        sure = verdict in ("better", "worse")
        names = [f"{row['strategy']} ({_amount(row)})" if sure else row["strategy"] for row in rows]
        if names:
            sentences.append(f"{opening}: {wording.listed(names)}.")
    if sum(not math.isnan(row["p_holm"]) for row in complete) > 1:
        sentences.append(
            f"Every strategy is tested against {baseline} only: "
            "the order among the others is not tested."
        )
    return sentences


def _needed(row: Row, context: ReportContext) -> str:
    name = wording.one_line(row["strategy"])
    return f"{name} needed {_budget(row)} on average ({_share(row, context)})"


def _budget(row: Row) -> str:
    least = "" if row["reached"] == row["runs"] else "more than "
    return f"{least}{row['labels']:.0f} labels"


def _share(row: Row, context: ReportContext) -> str:
    runs, tasks = wording.counted(row["runs"], "run"), wording.counted(_tasks(context), "task")
    target = "target" if len(context.task_targets) > 1 else wording.percent(context.target)
    return f"{target} reached in {row['reached']} of {runs} on {tasks}"


def _tasks(context: ReportContext) -> int:
    return len({facts.name for facts in context.tasks})


def _difference(row: Row, context: ReportContext) -> str:
    baseline = wording.one_line(context.baseline)
    saving, interval = row["saving_vs_random"], _interval(row)
    size = f"{_bound(row)}{_size(saving)}"
    text = f"{size} labels than {baseline}" if saving else f"as many labels as {baseline}"
    sure = [interval] if interval else []
    if row["verdict"] == "better":
        sure.append(_p_value(row["p_holm"]))
    return f"{text} ({', '.join(sure)})" if sure else text


def _p_value(value: float) -> str:
    return f"p = {value:.2g}" if value >= 0.001 else "p < 0.001"


def _amount(row: Row) -> str:
    interval = _interval(row)
    size = f"{_bound(row)}{_size(row['saving_vs_random'])}"
    return size + (f", {interval}" if interval else "")


def _bound(row: Row) -> str:
    """Say which way the saving is off, where runs stop at the cap on one side alone."""
    pairs = wording.censored_pairs(row)
    if not pairs or pairs not in (row["pairs_strategy_censored"], row["pairs_baseline_censored"]):
        return ""  # nothing is off, or it may be either way
    fewer = row["saving_vs_random"] > 0
    return "at least " if fewer == (pairs == row["pairs_baseline_censored"]) else "at most "


def _size(saving: float) -> str:
    """Word a saving that is not nothing: "12 % fewer", "below 1 % more"."""
    size = round(100 * abs(saving))
    return f"{f'{size} %' if size else 'below 1 %'} {'more' if saving < 0 else 'fewer'}"


def _interval(row: Row) -> str:
    """Word the interval in the direction of the saving itself; empty if there is none.

    There is none around a strategy that never reached: it would be one of the cap alone.
    """
    low, high = row["saving_low"], row["saving_high"]
    if math.isnan(low) or not row["reached"]:
        return ""
    if low < 0 < high:
        return f"95 % interval from {_size(low)} to {_size(high)}"
    near, far = sorted((abs(round(100 * low)), abs(round(100 * high))))
    return f"95 % interval {near} to {far} %"
