"""The sentences that belong below a leaderboard."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

import pandas as pd

from fal_bench.report import wording
from fal_bench.report.columns import group, is_ranked
from fal_bench.report.context import ReportContext
from fal_bench.report.external import origin_sentences
from fal_bench.report.verdict import trainer_sentences

_ENOUGH_SEEDS = 10
"""A bootstrap of fewer seeds draws the same few over and again."""
_WIDE_SEEDS = 5
"""With fewer seeds a t interval is half as wide again as the spread of the runs warrants."""


def reading_notes(leaderboard: pd.DataFrame, context: ReportContext) -> list[str]:
    """Say how to read the leaderboard: what its marks, brackets and words mean.

    They are about the table's language, so that boards of several targets can share them.

    Args:
        leaderboard: the table of ``build_leaderboard``.
        context: the question it answers.

    Returns:
        The sentences. They may hold square brackets: print them without markup.
    """
    rows = cast("list[dict[str, Any]]", leaderboard.to_dict("records"))
    ranked = [row for row in rows if is_ranked(row)]
    return [
        _resolution(context),
        _censoring(context),
        *_sample(ranked, context),
        *_tests(ranked, context),
        *_beyond_the_cap(ranked, context),
        *_dagger([row for row in rows if group(row) != "incomplete"], context),
    ]


def findings(
    leaderboard: pd.DataFrame, context: ReportContext, remarks: Sequence[str] = ()
) -> list[str]:
    """Say what one must know of this leaderboard beside its numbers.

    Args:
        leaderboard: the table of ``build_leaderboard``.
        context: the question it answers.
        remarks: what the curves say about it (``curve_remarks``).

    Returns:
        The sentences, as those of ``reading_notes``.
    """
    rows = cast("list[dict[str, Any]]", leaderboard.to_dict("records"))
    ranked = [row for row in rows if is_ranked(row)]
    return [
        *_untold(ranked, context),
        *trainer_sentences(ranked, context),
        *_censored_pairs([row for row in rows if group(row) != "incomplete"], context),
        *_too_hard(rows, context),
        *remarks,
        *origin_sentences(
            context.externals, {row["strategy"]: row for row in rows}, context.accounting
        ),
        *_missing(context),
    ]


def parted(
    reading: Sequence[Sequence[str]], found: Sequence[Sequence[str]]
) -> tuple[list[list[str]], list[str]]:
    """Part the notes of several boards into those of each one and those that they share.

    Args:
        reading: how to read each board (``reading_notes``), which is said once for all.
        found: what is to be known of each board (``findings``), shared if it is the same for all.

    Returns:
        The notes of each board, and the shared ones; a single board has all of its own.
    """
    if len(found) == 1:
        return [[*reading[0], *found[0]]], []
    common = [note for note in found[0] if all(note in others for others in found)]
    own = [[note for note in mine if note not in common] for mine in found]
    return own, [*dict.fromkeys(note for notes in reading for note in notes), *common]


def _resolution(context: ReportContext) -> str:
    step = _per_task([facts.query_labels for facts in context.tasks])
    return (
        f"Resolution: the model is evaluated once a query, every {step}; budgets between two "
        "evaluations are interpolated, step values are not."
    )


def _censoring(context: ReportContext) -> str:
    cap = _per_task([facts.cap for facts in context.tasks])
    return (
        "Reached: at or above the target at two evaluations in a row. A run that does not get "
        f'there by the cap of {cap} counts with its labels at the cap; ">" marks a mean with such '
        "runs, a lower bound."
    )


def _beyond_the_cap(rows: list[dict[str, Any]], context: ReportContext) -> list[str]:
    """Explain counts and ranks that a cap on labels seems to forbid."""
    sentences = []
    if context.accounting == "strict" and any(_reads_beyond(row) for row in rows):
        sentences.append(
            "The cap limits paper labels; labels that a strategy reads for itself are charged on "
            "top of it, so that strict labels may exceed the cap."
        )
    most = max((row["labels"] for row in rows if row["reached"]), default=math.nan)
    if any(row["labels"] < most for row in rows if row["reached"] == 0):
        sentences.append(
            "Whoever never reached the target stands last, whatever its labels, since nobody "
            "knows how many it would take."
        )
    return sentences


def _reads_beyond(row: dict[str, Any]) -> bool:
    return bool(row["labels_strict"] > row["labels_paper"])


def _per_task(numbers: Sequence[int]) -> str:
    """Word a number of labels that each task has; the page lists them task by task."""
    low, high = min(numbers), max(numbers)
    if low == high:
        return wording.counted(low, "label")
    return f"{low} to {high} labels (by task)"


def _sample(ranked: list[dict[str, Any]], context: ReportContext) -> list[str]:
    """Say what the brackets are, and how far few seeds carry."""
    tasks, seeds = len({facts.name for facts in context.tasks}), len(set(context.seeds))
    if not wording.has_intervals(context):
        return [wording.no_intervals(context)]
    text = (
        f"Brackets: 95 % intervals over {wording.counted(seeds, 'seed')} on "
        f"{wording.counted(tasks, 'task')}"
    )
    brackets = any(pd.notna(row["rank_low"]) for row in ranked)
    if brackets:
        drawn = "tasks and seeds" if tasks > 1 else "seeds"
        text += f"; after a rank, where it lies in 95 % of boards with {drawn} drawn again"
    doubts = ["intervals are wide"] if seeds < _WIDE_SEEDS else []
    if brackets and seeds < _ENOUGH_SEEDS:
        doubts.append("brackets of ranks are too narrow")
    if doubts:
        text += f". {wording.counted(seeds, 'seed')} are few: {' and '.join(doubts)}"
        text += "; go by the verdicts" if brackets else ""
    sentences = [f"{text}."]
    if any(row["reached"] < max(3, row["runs"] / 2) for row in ranked):
        # Apart, since boards of several targets share the other sentence.
        sentences.append(
            "A budget has no bracket if fewer than half of the runs, or fewer than three, reached."
        )
    return sentences


def _tests(ranked: list[dict[str, Any]], context: ReportContext) -> list[str]:
    verdicts = {row["verdict"] for row in ranked}
    sentences = []
    if verdicts & {"better", "worse", "no evidence", "n too small"}:
        sentences.append(
            "Savings and verdicts compare runs of the same task and seed with "
            f"{wording.one_line(context.baseline)}; a verdict needs p <= 0.05 in a sign-flip test "
            "after Holm's correction."
        )
    if any(row["verdict"] == "no evidence" and _excludes_zero(row) for row in ranked):
        tested = sum(not math.isnan(row["p_holm"]) for row in ranked)
        sentences.append(
            '"No evidence" can stand beside an interval that excludes 0: the interval is of that '
            f"row alone, the verdict is corrected for {wording.counted(tested, 'comparison')}."
        )
    return sentences


def _untold(ranked: list[dict[str, Any]], context: ReportContext) -> list[str]:
    """Say why some strategies have no verdict."""
    verdicts = {row["verdict"] for row in ranked}
    sentences = []
    if "n too small" in verdicts:
        sentences.append(f"n too small: {wording.too_few_pairs(ranked, context)}.")
    if "not comparable" in verdicts:
        sentences.append(f"not comparable: {wording.no_comparison(ranked, context)}.")
    return sentences


def _excludes_zero(row: dict[str, Any]) -> bool:
    """Tell whether the interval of the saving excludes zero."""
    return bool(row["saving_low"] > 0 or row["saving_high"] < 0)


def _daggered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows whose saving carries a dagger."""
    return [
        row
        for row in rows
        if not math.isnan(row["saving_vs_random"]) and wording.censored_pairs(row)
    ]


def _dagger(rows: list[dict[str, Any]], context: ReportContext) -> list[str]:
    if not _daggered(rows):
        return []
    baseline = wording.one_line(context.baseline)
    return [
        "\u2020 marks savings from pairs of which not both runs reached the target: each pair "
        f"pulls the saving up where only {baseline} did, down where only the strategy did, and "
        "towards nothing where neither did."
    ]


def _censored_pairs(rows: list[dict[str, Any]], context: ReportContext) -> list[str]:
    """Count the pairs behind the daggers, in one sentence for all strategies."""
    marked = _daggered(rows)
    if not marked:
        return []
    kinds = {
        "pairs_strategy_censored": f"only {wording.one_line(context.baseline)}",
        "pairs_baseline_censored": "only the strategy",
        "pairs_both_censored": "neither",
    }
    there = [key for key in kinds if any(row[key] for row in marked)]
    counts = ", ".join(
        f"{wording.one_line(row['strategy'])} {'/'.join(str(row[key]) for key in there)}"
        for row in marked
    )
    pairs = wording.counted(marked[0]["runs"], "pair")
    who = " / ".join(kinds[key] for key in there)
    return [f"\u2020 Of {pairs}, {who} reached the target in: {counts}."]


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
    for run in context.missing:
        seeds[run.task, run.strategy, wording.one_line(run.reason)].add(run.seed)
    sentences = []
    for (task, strategy, reason), numbers in sorted(seeds.items()):
        noun = "seed" if len(numbers) == 1 else "seeds"
        numbers_text = wording.listed([str(number) for number in sorted(numbers)])
        sentences.append(
            f"Missing: {wording.one_line(strategy)} on {wording.one_line(task)}, {noun} "
            f"{numbers_text}: {reason or 'no reason known'}"
        )
    return [text if text.endswith((".", "!", "?")) else f"{text}." for text in sentences]
