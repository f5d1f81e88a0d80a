"""The sentences that belong below a leaderboard."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

import pandas as pd

from fal_bench.report import wording
from fal_bench.report.columns import group, is_ranked
from fal_bench.report.context import ReportContext, TaskFacts
from fal_bench.report.external import origin_sentences
from fal_bench.report.verdict import trainer_sentences

_ENOUGH_SEEDS = 10
"""A bootstrap of fewer seeds draws the same few over and again."""


def footer(
    leaderboard: pd.DataFrame, context: ReportContext, remarks: Sequence[str] = ()
) -> list[str]:
    """Say in plain sentences what one must know to read the leaderboard.

    Args:
        leaderboard: the table of ``build_leaderboard``.
        context: the question it answers.
        remarks: what the curves say about it (``curve_remarks``).

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
        *_beyond_the_cap([row for row in rows if is_ranked(row)], context),
        *_censored_pairs([row for row in rows if group(row) != "incomplete"], context),
        *_too_hard(rows, context),
        *remarks,
        *origin_sentences(
            context.externals, {row["strategy"]: row for row in rows}, context.accounting
        ),
        *_missing(context),
    ]


def parted(notes: Sequence[list[str]]) -> tuple[list[list[str]], list[str]]:
    """Part the notes of several boards into those of each one and those that all of them share."""
    if len(notes) == 1:
        return [*notes], []
    shared = [note for note in notes[0] if all(note in others for others in notes)]
    return [[note for note in mine if note not in shared] for mine in notes], shared


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


def _beyond_the_cap(rows: list[dict[str, Any]], context: ReportContext) -> list[str]:
    """Explain counts and ranks that a cap on labels seems to forbid."""
    sentences = []
    if context.accounting == "strict" and any(_reads_beyond(row) for row in rows):
        sentences.append(
            "The cap limits paper labels; labels that a strategy reads for itself are charged on "
            "top of it, so that strict labels may exceed the cap."
        )
    never = [row for row in rows if row["reached"] == 0]
    most = max((row["labels"] for row in rows if row["reached"]), default=math.nan)
    if any(row["labels"] < most for row in never):
        names = wording.listed([row["strategy"] for row in never])
        sentences.append(
            "Whoever never reached the target stands last, whatever its labels, since nobody "
            f"knows how many it would take: {names}."
        )
    return sentences


def _reads_beyond(row: dict[str, Any]) -> bool:
    return bool(row["labels_strict"] > row["labels_paper"])


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
    if any(row["verdict"] == "no evidence" and _excludes_zero(row) for row in complete):
        tested = sum(not math.isnan(row["p_holm"]) for row in complete)
        sentences.append(
            '"No evidence" can stand beside an interval that excludes 0: the interval is of that '
            f"row alone, the verdict is corrected for {wording.counted(tested, 'comparison')}."
        )
    if "n too small" in verdicts:
        sentences.append(f"n too small: {wording.too_few_pairs(complete, context)}.")
    if "not comparable" in verdicts:
        sentences.append(f"not comparable: {wording.no_comparison(complete, context)}.")
    return sentences


def _excludes_zero(row: dict[str, Any]) -> bool:
    """Tell whether the interval of the saving excludes zero."""
    return bool(row["saving_low"] > 0 or row["saving_high"] < 0)


def _ranks(complete: list[dict[str, Any]], context: ReportContext) -> list[str]:
    if not any(pd.notna(row["rank_low"]) for row in complete):
        return []
    drawn = "tasks, and seeds within them," if len(_tasks(context)) > 1 else "seeds"
    text = (
        f"Brackets after a rank, where shown: the rank in 95 % of boards whose {drawn} are drawn "
        "again"
    )
    seeds = len(set(context.seeds))
    if seeds < _ENOUGH_SEEDS:
        text += (
            f"; with {wording.counted(seeds, 'seed')}, fewer than {_ENOUGH_SEEDS}, they are too "
            "narrow and look more settled than they are: go by the verdicts"
        )
    return [f"{text}."]


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
