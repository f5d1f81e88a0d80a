"""The facts of a board: what is found, and what must not be claimed."""

import dataclasses
import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from boards import BASE, board_of, comparison, context, curve, runs
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.report import facts as known
from fal_bench.report.context import Environment, MissingRun, TaskFacts
from fal_bench.report.facts import (
    BudgetsWithoutInterval,
    CensoredPairs,
    Censoring,
    Compared,
    Dagger,
    EndsEarly,
    EnvironmentsDiffer,
    Fact,
    Incomplete,
    IntervalExcludesZero,
    Intervals,
    MetAtStart,
    Missing,
    NeverReachedLast,
    NoIntervals,
    NotComparable,
    NothingRanked,
    NotRecorded,
    OnlyStrategy,
    OrderUntested,
    PairedTest,
    Reference,
    Resolution,
    SameCurves,
    SharedFirst,
    StrictBeyondCap,
    TargetNotReached,
    TargetTooHard,
    TooFewPairs,
    TrainersDiffer,
    Winner,
    notes,
)
from fal_bench.report.sentences import certainty, sentences

HIGH = (0.6, 0.6, 0.7, 0.8, 0.8)
KINDS = [kind for kind in vars(known).values() if isinstance(kind, type) and issubclass(kind, Fact)]


def facts_of(rows, *strategies, seeds=1, **options):
    return board_of(rows, context(*strategies, seeds=seeds, **options)).facts


def verdict(rows, *strategies, **options):
    return facts_of(rows, *strategies, **options).verdict


def names(fact):
    return [one.strategy for one in fact.standings]


# The verdict.


def test_a_winner_with_its_saving_and_interval():
    rows = runs("random", *BASE) + runs("mine", *[0.8 * n + n % 3 / 10 for n in BASE])
    (winner,) = verdict(rows, "random", "mine", seeds=7)
    one = winner.standing
    assert (one.strategy, one.verdict, one.reached, one.runs) == ("mine", "better", 7, 7)
    assert one.saving.share == pytest.approx(0.2, abs=0.005)
    assert one.saving.interval == pytest.approx((0.19, 0.2), abs=0.005)
    assert (one.saving.bound, winner.untested) == ("", None)
    assert one.p == pytest.approx(2 / 128)


def test_the_others_follow_by_verdict():
    base = (*BASE, 30)
    rows = runs("random", *base) + runs("half", 20)
    rows += runs("best", *[n * 0.5 + n % 2 for n in base])
    rows += runs("good", *[n * 0.9 for n in base]) + runs("bad", *[n * 1.25 for n in base])
    rows += runs("same", *base[::-1])
    names_ = ("random", "best", "good", "bad", "same", "half")
    first, good, bad, same, untested, half = verdict(rows, *names_, seeds=8)
    assert (first.standing.strategy, first.standing.verdict) == ("best", "better")
    assert [(fact.verdict, names(fact)) for fact in (good, bad, same)] == [
        ("better", ["good"]), ("worse", ["bad"]), ("no evidence", ["same"]),
    ]  # fmt: skip
    assert bad.standings[0].saving.share == pytest.approx(-0.25)
    assert untested == OrderUntested()
    assert half == Incomplete((("half", 1),), expected=8)


def test_no_evidence_comes_with_its_p_value():
    rows = runs("random", *BASE) + runs("mine", 19, 27, 22, 28, 24, 31, 26)
    (winner,) = verdict(rows, "random", "mine", seeds=7)
    assert winner.standing.verdict == "no evidence"
    assert winner.standing.p > 0.05
    low, high = winner.standing.saving.interval
    assert low < 0 < high


@pytest.mark.parametrize(
    ("base", "mine", "why"),
    [
        ((30, 32, 36), (20, 21, 25), TooFewPairs(3, 1, needed=6, seeds=6)),
        ((30,), (15,), TooFewPairs(1, 1, needed=6, seeds=6)),
    ],
)
def test_too_few_runs_may_be_chance(base, mine, why):
    found = facts_of(runs("random", *base) + runs("mine", *mine), "random", "mine", seeds=len(base))
    assert found.verdict[0].untested == why
    assert why in found.findings
    assert (found.verdict[0].standing.saving.interval is None) == (len(base) == 1)


def test_pairs_over_several_tasks_need_fewer_seeds():
    rows = [
        row
        for task in ("a", "b")
        for name in ("random", "x", "y", "z")
        for row in runs(name, 20, 25, task=task)
    ]
    found = facts_of(rows, "random", "x", "y", "z", seeds=2, tasks=("a", "b")).findings
    # 2^(1 - N) * 3 <= 0.05 first holds for N = 7, which is 4 seeds on 2 tasks.
    assert TooFewPairs(pairs=4, comparisons=3, needed=7, seeds=4) in found


def test_the_baseline_can_win():
    rows = runs("random", *BASE) + runs("bad", *[n * 1.25 for n in BASE])
    first, bad = verdict(rows, "random", "bad", seeds=7)
    assert (first.standing.strategy, first.standing.verdict) == ("random", "baseline")
    assert (bad.verdict, names(bad)) == ("worse", ["bad"])


def test_a_shared_first_place():
    rows = runs("random", *BASE) + runs("copy", *BASE)
    first, other = verdict(rows, "random", "copy", seeds=7)
    assert isinstance(first, SharedFirst)
    assert names(first) == ["copy", "random"]
    assert (other.verdict, names(other)) == ("no evidence", ["copy"])


def test_no_run_reached():
    rows = runs("random", None) + curve("close", (0.1, 0.2, 0.3, 0.45, 0.45))
    assert verdict(rows, "random", "close") == (TargetNotReached((40,), "close", 0.45),)
    rows = curve("random", (0.1, 0.2), labels=(10, 12))
    assert verdict(rows, "random") == (TargetNotReached((40,), None, None),)


def test_caps_that_differ_are_all_named():
    rows = runs("random", None, task="a") + runs("random", None, task="b")
    asked = context("random", tasks=("a", "b"))
    wide = TaskFacts("b", (10, 20, 30), query_labels=20, pool=200, description="")
    found = board_of(rows, replace(asked, tasks=(asked.tasks[0], wide))).facts
    assert found.verdict[0].caps == (30, 40)
    assert found.reading[:2] == (Resolution(10, 20), Censoring(30, 40))


def test_a_single_strategy_has_nothing_to_compare_with():
    (alone,) = verdict(runs("random", 25, 26, 27), "random", seeds=3)
    assert isinstance(alone, OnlyStrategy)
    assert (alone.standing.strategy, alone.others) == ("random", False)
    rows = runs("random", 25, 26, 27) + runs("mine", 12)
    alone, rest = verdict(rows, "random", "mine", seeds=3)
    assert alone.others
    assert rest == Incomplete((("mine", 1),), expected=3)


def test_nothing_finished():
    assert verdict(pd.DataFrame(runs("random", 20)).iloc[:0], "random", "mine") == (
        NothingRanked(),
        Incomplete((("mine", 0), ("random", 0)), expected=1),
    )


@pytest.mark.parametrize(
    ("rows", "strategies", "why"),
    [
        (runs("a", 20) + runs("b", 25), ("a", "b"), "absent"),
        (runs("a", 20) + runs("b", 25), ("a", "b", "random"), "incomplete"),
        (runs("a", 20, extra=100) + runs("random", None), ("a", "random"), "undecided"),
    ],
)
def test_no_comparison_without_a_usable_baseline(rows, strategies, why):
    found = facts_of(rows, *strategies, accounting="strict")
    assert found.verdict[0].standing.strategy == "a"
    assert found.verdict[0].untested == NotComparable(why)
    assert NotComparable(why) in found.findings
    assert PairedTest("random") not in found.reading


def test_a_difference_that_the_cap_cuts_short_is_a_bound():
    base = (*BASE, 30)
    rows = runs("random", *base) + runs("never", *[None] * 8)
    rows += runs("best", *[n * 0.5 + n % 2 for n in base])
    best, worse, _ = verdict(rows, "random", "best", "never", seeds=8)
    assert best.standing.saving.bound == ""
    # Of the cap alone there is no interval.
    assert (worse.standings[0].saving.bound, worse.standings[0].saving.interval) == (
        "at least",
        None,
    )
    late = (*BASE[:6], None)
    for mine, bound in (
        ([0.8 * n + n % 3 / 10 for n in BASE], "at least"),
        ([*(0.8 * n for n in BASE[:6]), None], ""),
    ):
        rows = runs("random", *late) + runs("mine", *mine)
        assert verdict(rows, "random", "mine", seeds=7)[0].standing.saving.bound == bound
    rows = runs("random", *BASE) + runs("mine", *[0.8 * n for n in BASE[:6]], None)
    assert verdict(rows, "random", "mine", seeds=7)[0].standing.saving.bound == "at most"


def test_references_are_apart():
    rows = runs("random", 30, 30) + runs("oracle", 15, 15)
    first, *_, last = verdict(rows, "random", "oracle", seeds=2, references=frozenset({"oracle"}))
    assert first.standing.strategy == "random"
    assert isinstance(last, Reference)
    assert (last.standing.strategy, last.standing.labels) == ("oracle", pytest.approx(15))


def test_rows_of_different_trainers_are_never_ranked_together_without_saying_so():
    rows = runs("random", 30, 30) + runs("feal", 20, 20)
    for second, differ in (("a", False), ("b", True)):
        trainers = (("random", "a"), ("feal", second))
        found = facts_of(rows, "random", "feal", seeds=2, trainers=trainers)
        assert (TrainersDiffer(("a", "b")) in found.verdict) == differ
        assert (TrainersDiffer(("a", "b")) in found.findings) == differ


# How to read the table.


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        (2, NoIntervals(2, 1)),
        (4, Intervals(4, 1, ranks=True, wide=True, ranks_narrow=True)),
        (5, Intervals(5, 1, ranks=True, wide=False, ranks_narrow=True)),
        (10, Intervals(10, 1, ranks=True, wide=False, ranks_narrow=False)),
    ],
)
def test_few_seeds_carry_so_far(seeds, expected):
    crossings = [20 + place / 2 for place in range(seeds)]
    rows = runs("random", *crossings) + runs("mine", *[c - 5 for c in crossings])
    assert facts_of(rows, "random", "mine", seeds=seeds).reading[2] == expected


def test_budgets_of_few_runs_that_reached_have_no_interval():
    few = runs("random", *BASE[:5]) + runs("mine", 20, 21, None, None, None)
    assert BudgetsWithoutInterval() in facts_of(few, "random", "mine", seeds=5).reading
    enough = runs("random", *BASE[:5]) + runs("mine", 20, 21, 22, None, None)
    assert BudgetsWithoutInterval() not in facts_of(enough, "random", "mine", seeds=5).reading


@pytest.mark.parametrize(("first", "pointed_out"), [(1.25, True), (1.9, False), (0.8, False)])
def test_no_evidence_beside_an_interval_without_zero_is_pointed_out(first, pointed_out):
    # All pairs but the first agree: a t interval may exclude zero where a test after Holm does not.
    base = (*BASE, 30)
    rows = runs("random", *base)
    for name in "xyz":
        rows += runs(name, *[n * (0.8 if place else first) for place, n in enumerate(base)])
    found = facts_of(rows, "random", *"xyz", seeds=8).reading
    assert (IntervalExcludesZero(3) in found) == pointed_out


def test_ranks_and_counts_that_the_cap_seems_to_forbid_are_explained():
    rows = runs("random", 25) + runs("hungry", 15, extra=900) + runs("never", None)
    names_ = ("random", "hungry", "never")
    strict = facts_of(rows, *names_, accounting="strict").reading
    assert {StrictBeyondCap(), NeverReachedLast()} <= set(strict)
    paper = facts_of(rows, *names_).reading
    assert not {StrictBeyondCap(), NeverReachedLast()} & set(paper)


# What was found.


def test_censored_pairs_are_counted():
    rows = runs("random", 22, 24, None, None) + runs("x", None, 20, 30, None) + runs("y", *BASE[:4])
    found = facts_of(rows, "random", "x", "y", seeds=4)
    assert CensoredPairs(4, (("y", 0, 2, 0), ("x", 1, 1, 1))) in found.findings
    assert Dagger("random") in found.reading
    assert (
        Dagger("random") not in facts_of(runs("random", 22) + runs("x", 20), "random", "x").reading
    )


def test_a_target_that_the_baseline_misses_is_too_hard():
    assert (
        TargetTooHard("random", 1, 3)
        in facts_of(runs("random", 25, None, None), "random", seeds=3).findings
    )
    assert not facts_of(runs("random", 25, None), "random", seeds=2).findings


def test_ordinary_curves_need_no_remark():
    rows = runs("random", *BASE) + runs("mine", *[n * 0.8 for n in BASE])
    found = facts_of(rows, "random", "mine", seeds=7)
    assert (found.findings, found.dashes, found.provenance) == ((), (), ())


def test_a_target_that_initial_labels_meet():
    rows = runs("random", 22, 26, 27, 28, 29) + runs("mine", 15, 16, 17, 18)
    rows += curve("mine", HIGH, seed=4)
    met = MetAtStart((("a", 1, 10),), several=False)
    assert met in facts_of(rows, "random", "mine", seeds=5).findings
    assert met not in facts_of(rows, "random", "mine", seeds=5, target=0.7).findings
    more = runs("random", *range(20, 30))
    more += runs("mine", *[12 + seed for seed in range(9)]) + curve("mine", HIGH, seed=9)
    found = facts_of(more, "random", "mine", seeds=10).findings
    assert not any(isinstance(fact, MetAtStart) for fact in found)  # 1 of 20 is not many


def test_the_tasks_whose_target_is_met_are_named():
    rows = runs("random", 22, 26, task="hard") + runs("mine", 15, 16, task="hard")
    rows += [row for seed in (0, 1) for row in curve("random", HIGH, task="easy", seed=seed)]
    rows += runs("mine", 15, 16, task="easy")
    found = facts_of(rows, "random", "mine", seeds=2, tasks=("easy", "hard")).findings
    assert MetAtStart((("easy", 2, 4),), several=True) in found


def test_strategies_with_identical_curves_are_named():
    rows = runs("random", 22, 26) + runs("copy", 22, 26) + runs("mine", 22, 27)
    found = facts_of(rows, "random", "copy", "mine", seeds=2).findings
    assert SameCurves(("copy", "random"), ()) in found
    dearer = runs("random", 22, 26) + runs("copy", 22, 26, extra=1)
    found = facts_of(dearer, "random", "copy", seeds=2).findings
    assert not any(isinstance(fact, SameCurves) for fact in found)
    rows = runs("random", 22, task="a") + runs("copy", 22, task="a")
    rows += runs("random", 22, task="b") + runs("copy", 23, task="b")
    found = facts_of(rows, "random", "copy", tasks=("a", "b")).findings
    assert SameCurves(("copy", "random"), ("a",)) in found


def test_a_strategy_that_ends_before_the_cap_has_its_dashes_explained():
    rows = runs("random", 22) + curve("thrifty", (0.4, 0.6, 0.6), labels=(10, 20, 30))
    assert facts_of(rows, "random", "thrifty").dashes == (EndsEarly(("thrifty",)),)


def test_missing_runs_are_grouped_by_reason():
    missing = [
        MissingRun("b", "half", 2, "not run yet"),
        *(MissingRun("a", "half", seed, "ValueError: shapes\n\tdiffer") for seed in (4, 0)),
        MissingRun("a", "half", 1, ""),
    ]
    found = facts_of(runs("random", 20), "random", "half", missing=missing)
    assert [fact for fact in found.findings if isinstance(fact, Missing)] == [
        Missing("a", "half", (1,), ""),
        Missing("a", "half", (0, 4), "ValueError: shapes\n\tdiffer"),
        Missing("b", "half", (2,), "not run yet"),
    ]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((("processor", "A"), ("torch", "2")), ()),
        ((("processor", "B"), ("torch", "2")), (EnvironmentsDiffer(("processor",)),)),
        ((("torch", "2"),), (NotRecorded(("processor",)),)),
    ],
)
def test_what_was_not_recorded_is_not_called_different(second, expected):
    places = (Environment(3, (("processor", "A"), ("torch", "2"))), Environment(1, second))
    found = facts_of(runs("random", 20), "random", environments=places)
    assert found.provenance == expected


def test_boards_share_how_to_read_them_but_not_what_was_found():
    rows = runs("random", 22, 35, None) + runs("copy", 22, 35, None) + runs("x", 20, 21, None)
    asked = context("random", "copy", "x", seeds=3)
    first, second = (board_of(rows, replace(asked, target=target)).facts for target in (0.5, 0.6))
    (own, other), shared = notes([first, second])
    assert own == (*_only(first, TooFewPairs), *_only(first, CensoredPairs))
    assert TargetTooHard("random", 1, 3) in other
    assert not set(own) & set(other)
    assert {SameCurves(("copy", "random"), ()), *first.reading, *second.reading} <= set(shared)
    assert shared[0] == first.reading[0]
    assert notes([first]) == ([(*first.reading, *first.findings)], ())


def _only(facts, kind):
    return [fact for fact in facts.findings if isinstance(fact, kind)]


# All facts.


@settings(max_examples=40, deadline=None)
@given(
    table=st.lists(
        st.lists(st.one_of(st.none(), st.floats(10.5, 39.5)), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    ),
    accounting=st.sampled_from(["paper", "strict"]),
)
def test_facts_of_any_board_are_worded_and_hold_finite_numbers(table, accounting):
    labels = ["random", *(f"s{number}" for number in range(1, len(table)))]
    rows = [
        row
        for number, (name, found) in enumerate(zip(labels, table, strict=True))
        for row in runs(name, *found, extra=7 * number)
    ]
    result = comparison(rows, context(*labels, seeds=3, accounting=accounting))
    (board,) = result.boards
    said = [*board.verdict, *board.notes]
    assert all(text.endswith(".") and "\n" not in text and "  " not in text for text in said)
    assert not any(word in text for text in said for word in ("nan", "None", "beyond chance"))
    json.dumps(board.facts.data(), allow_nan=False)
    (exported,) = json.loads(result.text("json"))
    assert exported["facts"] == json.loads(json.dumps(board.facts.data()))


def example(kind):
    """A fact of a kind with values of the right types."""
    one = known.Standing("x", 20.4, 2, 3, "better", known.Saving(0.2, (0.1, 0.3), "at least"), 0.01)
    special = {
        "standing": one, "standings": (one, one), "untested": None, "verdict": "worse",
        "why": "absent", "counts": (("x", 1, 0, 2),), "finished": (("x", 1),), "caps": (10, 20),
        "nearest": "x", "value": 0.4, "seeds": (0, 1) if kind is Missing else 3,
        "tasks": (("a", 1, 2),) if kind is MetAtStart else (("a",) if kind is SameCurves else 2),
    }  # fmt: skip
    by_type = {"tuple[str, ...]": ("x", "y"), "str": "word", "int": 3, "bool": True, "float": 0.05}
    return kind(
        **{f.name: special.get(f.name, by_type.get(f.type)) for f in dataclasses.fields(kind)}
    )


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.kind())
def test_every_fact_is_worded(kind):
    (text,) = sentences([example(kind)], context("random", "x", seeds=3))
    assert text.endswith(".")
    assert "None" not in text


@pytest.mark.parametrize(
    "verdict",
    ["better", "worse", "baseline", "no evidence", "n too small", "not comparable", "external"],
)
def test_every_verdict_of_a_winner_is_worded(verdict):
    why = {"n too small": TooFewPairs(3, 1, 6, 6), "not comparable": NotComparable("undecided")}
    one = replace(example(Winner).standing, verdict=verdict)
    winner = Winner(one, why.get(verdict))
    asked = context("random", "x", seeds=3)
    (text,) = sentences([winner], asked)
    assert ("beyond chance" in certainty(winner, asked)) == (verdict == "better")
    assert ("fewest labels" in text) == (verdict not in ("better", "baseline"))
    if verdict not in ("baseline", "better"):
        (others,) = sentences([Compared(verdict, (one, one))], asked)
        assert others.count("x") >= 2
        assert not math.isnan(one.labels)


def test_a_whole_board_in_words():
    rows = runs("random", *BASE) + runs("never", *[None] * 7) + runs("half", 20)
    rows += runs("mine", *[0.8 * n + n % 3 / 10 for n in BASE], extra=2)
    missing = [MissingRun("a", "half", seed, "not run to its end yet") for seed in range(1, 7)]
    asked = context(
        "random", "mine", "never", "half", seeds=7, missing=missing, accounting="strict"
    )
    board = board_of(rows, asked)
    assert board.verdict == [
        "mine reached 50 % with 12 % fewer labels than random (95 % interval 11 to 13 %, "
        "p = 0.031), on 1 task and 7 of 7 runs.",
        "More labels than random beyond chance: never (at least 55 % more).",
        "Every strategy is tested against random only: the order among the others is not tested.",
        "Not ranked, because runs are missing: half (1 of 7 runs).",
    ]
    assert board.notes == [
        "Resolution: the model is evaluated once per query, every 10 labels. Budgets between two "
        "evaluations are interpolated; step values are not.",
        "Reached: at or above the target at two evaluations in a row. A run that does not reach it "
        'by the cap of 40 labels counts with its labels at the cap. ">" marks a mean with such '
        "runs: the true mean is higher.",
        "Brackets: 95 % intervals over 7 seeds on 1 task; after a rank, where it lies in 95 % of "
        "boards with seeds drawn again. 7 seeds are few: brackets of ranks are too narrow; rely on "
        "the verdicts.",
        "A budget has no bracket if fewer than half of the runs, or fewer than three, reached the "
        "target.",
        "Savings and verdicts compare runs of the same task and seed with random. A verdict needs "
        "p <= 0.05 in a sign-flip test after Holm's correction.",
        "The cap limits paper labels. Labels that a strategy reads for itself are charged on top "
        "of it, so strict labels may exceed the cap.",
        "\u2020 marks savings from pairs in which not both runs reached the target. Such a pair "
        "pulls the saving up where only random did, down where only the strategy did, and towards "
        "zero where neither did.",
        "\u2020 Of 7 pairs, only random reached the target in: never 7.",
        "Missing: half on a, seeds 1, 2, 3, 4, 5 and 6: not run to its end yet.",
    ]


def test_names_neither_break_a_sentence_apart_nor_command_the_terminal():
    (text,) = sentences([TargetTooHard("\x1b[31m\nboo", 1, 3)], context("random"))
    assert "[31m boo" in text
    assert text.isprintable()
