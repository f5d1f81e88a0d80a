"""The verdict in words: what is said, and what must not be claimed."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_leaderboard import context, curve, runs

from fal_bench.report.context import TaskFacts
from fal_bench.report.leaderboard import build_leaderboard
from fal_bench.report.verdict import verdict_sentences

BASE = (22, 24, 25, 26, 27, 28, 29)


def say(rows, asked):
    return verdict_sentences(build_leaderboard(pd.DataFrame(rows), asked), asked)


def test_a_winner_with_its_saving_and_interval():
    rows = runs("random", *BASE) + runs("mine", *[0.8 * n + n % 3 / 10 for n in BASE])
    (sentence,) = say(rows, context("random", "mine", seeds=7))
    assert sentence == (
        "mine reached 50 % with 20 % fewer labels than random (95 % interval 19 to 20 %, "
        "p = 0.016), on 1 task and 7 of 7 runs."
    )


def test_the_others_follow_by_verdict():
    base = (*BASE, 30)
    rows = runs("random", *base) + runs("half", 20)
    rows += runs("best", *[n * 0.5 + n % 2 for n in base])
    rows += runs("good", *[n * 0.9 for n in base]) + runs("bad", *[n * 1.25 for n in base])
    rows += runs("same", *base[::-1])
    names = ("random", "best", "good", "bad", "same", "half")
    first, good, bad, same, untested, half = say(rows, context(*names, seeds=8))
    assert first == (
        "best reached 50 % with 49 % fewer labels than random (95 % interval 47 to 50 %, "
        "p = 0.031), on 1 task and 8 of 8 runs."
    )
    assert good.startswith("Fewer labels than random beyond chance: good (10 % fewer")
    assert bad.startswith("More labels than random beyond chance: bad (25 % more")
    assert same == "No evidence of a difference from random: same."
    assert untested.startswith("Every strategy is tested against random only")
    assert half == "Not ranked for want of finished runs: half (1 of 8 runs)."


def test_no_evidence_is_said_with_its_p_value():
    rows = runs("random", *BASE) + runs("mine", 19, 27, 22, 28, 24, 31, 26)
    (sentence,) = say(rows, context("random", "mine", seeds=7))
    assert sentence.startswith("mine needed the fewest labels (25 labels on average; ")
    assert "but this is no evidence that it differs from random: p = " in sentence
    assert "% more to" in sentence
    assert sentence.count("reached") == 1


def test_too_few_runs_may_be_chance():
    rows = runs("random", 30, 32, 36) + runs("mine", 20, 21, 25)
    (sentence,) = say(rows, context("random", "mine", seeds=3))
    assert "mine needed the fewest labels (22 labels on average; " in sentence
    assert sentence.endswith(
        "but this may be chance: 3 pairs of runs are too few for 1 comparison; "
        "it takes at least 6, that is 6 seeds."
    )


def test_one_pair_has_no_interval():
    rows = runs("random", 30) + runs("mine", 15)
    (sentence,) = say(rows, context("random", "mine"))
    assert "50 % fewer labels than random, but this may be chance: 1 pair of runs is" in sentence
    assert "interval" not in sentence


def test_the_baseline_can_win():
    rows = runs("random", *BASE) + runs("bad", *[n * 1.25 for n in BASE])
    first, bad = say(rows, context("random", "bad", seeds=7))
    assert first == (
        "No strategy did better than the baseline: random needed 26 labels on average "
        "(50 % reached in 7 of 7 runs on 1 task)."
    )
    assert bad.startswith("More labels than random beyond chance: bad (25 % more")


def test_a_shared_first_place():
    rows = runs("random", *BASE) + runs("copy", *BASE)
    first, other = say(rows, context("random", "copy", seeds=7))
    assert first == "copy and random share the first place: each needed 26 labels on average."
    assert other == "No evidence of a difference from random: copy."


def test_nobody_reached():
    rows = runs("random", None) + curve("close", (0.1, 0.2, 0.3, 0.45, 0.45))
    assert say(rows, context("random", "close")) == [
        "No strategy reached 50 % in any run within the cap of 40 labels; "
        "close came nearest, with 45.0 % mean accuracy at the cap.",
    ]


def test_nobody_reached_and_nobody_got_to_the_cap():
    rows = curve("random", (0.1, 0.2), labels=(10, 12))
    (sentence,) = say(rows, context("random"))
    assert sentence.startswith("No strategy reached 50 % in any run within the cap of 40 labels; a")


def test_caps_that_differ_are_all_named():
    rows = runs("random", None, task="a") + runs("random", None, task="b")
    asked = context("random", tasks=("a", "b"))
    wide = TaskFacts("b", (10, 20, 30), query_labels=10, pool=200, description="")
    (sentence,) = say(rows, replace(asked, tasks=(asked.tasks[0], wide)))
    assert "within the cap of 30 labels or 40 labels;" in sentence


def test_a_single_strategy_has_nothing_to_compare_with():
    (sentence,) = say(runs("random", 25, 26, 27), context("random", seeds=3))
    assert sentence == (
        "random needed 26 labels on average (50 % reached in 3 of 3 runs on 1 task); "
        "it is the only strategy, so there is nothing to compare it with."
    )


def test_a_single_complete_strategy_has_nothing_to_compare_with():
    rows = runs("random", 25, 26, 27) + runs("mine", 12)
    alone, rest = say(rows, context("random", "mine", seeds=3))
    assert "the only strategy with all its runs finished" in alone
    assert rest == "Not ranked for want of finished runs: mine (1 of 3 runs)."


def test_nothing_finished():
    empty = pd.DataFrame(runs("random", 20)).iloc[:0]
    asked = context("random", "mine")
    sentences = verdict_sentences(build_leaderboard(empty, asked), asked)
    assert sentences[0].endswith("nothing is ranked.")
    assert sentences[1].endswith("mine (0 of 1 runs) and random (0 of 1 runs).")


@pytest.mark.parametrize(
    ("rows", "strategies", "reason"),
    [
        (runs("a", 20) + runs("b", 25), ("a", "b"), "random is not among the strategies"),
        (runs("a", 20) + runs("b", 25), ("a", "b", "random"), "random lacks finished runs"),
        (runs("a", 20, extra=100) + runs("random", None), ("a", "random"), "the cap hides which"),
    ],
)
def test_no_comparison_without_a_usable_baseline(rows, strategies, reason):
    sentence = say(rows, context(*strategies, accounting="strict"))[0]
    assert sentence.startswith("a needed the fewest labels (")
    assert "but it cannot be compared with random: " in sentence
    assert reason in sentence


def test_censored_runs_make_the_mean_a_lower_bound():
    rows = runs("random", 36, 37, None) + runs("mine", 20, 22, None)
    (sentence,) = say(rows, context("random", "mine", seeds=3))
    # (20 + 22 + 40) / 3
    assert "(more than 27 labels on average; 50 % reached in 2 of 3 runs on 1 task)" in sentence


def test_a_difference_that_the_cap_cuts_short_is_a_bound():
    base = (*BASE, 30)
    rows = runs("random", *base) + runs("never", *[None] * 8)
    rows += runs("best", *[n * 0.5 + n % 2 for n in base])
    best, worse, untested = say(rows, context("random", "best", "never", seeds=8))
    assert "with 49 % fewer labels" in best
    # From 26 to 40 labels; an interval would be one of the cap.
    assert worse == "More labels than random beyond chance: never (at least 52 % more)."
    assert untested.startswith("Every strategy")
    late = (*BASE[1:], None)
    rows = runs("random", *late) + runs("mine", *[0.8 * n + n % 3 / 10 for n in BASE])
    (sentence,) = say(rows, context("random", "mine", seeds=7))
    assert "mine reached 50 % with at least " in sentence
    rows = runs("random", *late) + runs("mine", *[0.8 * n for n in BASE[:6]], None)
    (sentence,) = say(rows, context("random", "mine", seeds=7))
    assert "at least" not in sentence


def test_small_savings_keep_their_sign():
    rows = runs("random", *BASE) + runs("mine", *[n * 0.996 for n in BASE])
    (sentence,) = say(rows, context("random", "mine", seeds=7))
    assert "with below 1 % fewer labels than random" in sentence


@settings(max_examples=40, deadline=None)
@given(
    table=st.lists(
        st.lists(st.one_of(st.none(), st.floats(10.5, 39.5)), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    ),
    accounting=st.sampled_from(["paper", "strict"]),
)
def test_every_board_gives_whole_sentences(table, accounting):
    names = ["random", *(f"s{number}" for number in range(1, len(table)))]
    rows = [
        row
        for number, (name, found) in enumerate(zip(names, table, strict=True))
        for row in runs(name, *found, extra=7 * number)
    ]
    sentences = say(rows, context(*names, seeds=3, accounting=accounting))
    assert sentences
    for sentence in sentences:
        assert sentence.endswith(".")
        assert "nan" not in sentence
        assert "beyond chance" not in sentence
        assert "\n" not in sentence


def test_references_are_named_apart():
    rows = runs("random", 30, 30) + runs("oracle", 15, 15)
    asked = context("random", "oracle", seeds=2, references=frozenset({"oracle"}))
    sentences = say(rows, asked)
    assert "oracle" not in sentences[0]
    assert sentences[-1] == (
        "oracle is a reference that sees the true labels and is not ranked; it needed 15 labels "
        "on average."
    )


def test_rows_of_different_trainers_are_never_ranked_together_without_saying_so():
    rows = runs("random", 30, 30) + runs("feal", 20, 20)
    same = context("random", "feal", seeds=2, trainers=(("random", "a"), ("feal", "a")))
    assert not any("train" in sentence for sentence in say(rows, same))
    mixed = context("random", "feal", seeds=2, trainers=(("random", "a"), ("feal", "b")))
    assert (
        "Strategies differ in how clients train (a and b), so these ranks compare selection and "
        "training together."
    ) in say(rows, mixed)
