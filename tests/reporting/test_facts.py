"""The facts of a board: what is found, and what must not be claimed."""

import dataclasses
import json
import re
from dataclasses import replace

import pandas as pd
import pytest
from boards import BASE, board_of, comparison, context, curve, in_costs, paid, runs
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.reporting import facts as f
from fal_bench.reporting.budgets import stops, undertrained
from fal_bench.reporting.context import Rung, TaskFacts
from fal_bench.reporting.page import render_page
from fal_bench.reporting.wording import sentences
from fal_bench.results.model import Environment, MissingRun

HIGH = (0.6, 0.6, 0.7, 0.8, 0.8)
KINDS = [kind for kind in vars(f).values() if isinstance(kind, type) and issubclass(kind, f.Fact)]
EIGHT = (*BASE, 30)
LOOSE = re.compile(r"\( | [),.;:]")


def scaled(factor, base=BASE, wobble=0.0):
    return tuple(factor * n + n % 3 * wobble for n in base)


def facts_of(crossings, rows=(), *, extra=None, tasks=("a",), **options):
    """The facts of strategies that cross the target at these labels on every task."""
    rows = [*rows]
    for task in tasks:
        for name, labels in crossings.items():
            rows += runs(name, *labels, task=task, extra=(extra or {}).get(name, 0))
    names = dict.fromkeys([*crossings, *(row["strategy"] for row in rows)])
    seeds = max([len(labels) for labels in crossings.values()] or [1])
    asked = context(*options.pop("also", ()), *names, seeds=seeds, tasks=tasks, **options)
    return board_of(rows, asked).facts


def of_kind(found, kind):
    return [fact for fact in found if isinstance(fact, kind)]


# The verdict.


def test_a_winner_with_its_saving_and_interval():
    (winner,) = facts_of({"random": BASE, "mine": scaled(0.8, wobble=0.1)}).verdict
    one = winner.standing
    assert (one.strategy, one.verdict, one.reached, one.runs) == ("mine", "better", 7, 7)
    assert one.saving.share == pytest.approx(0.2, abs=0.005)
    assert 0.19 < one.saving.low < one.saving.share < one.saving.high < 0.2
    assert (one.saving.bound, winner.untested) == ("", None)


def test_the_others_follow_by_verdict():
    best = tuple(n * 0.5 + n % 2 for n in EIGHT)
    crossings = {"random": EIGHT, "best": best, "good": scaled(0.9, EIGHT)}
    crossings |= {"bad": scaled(1.25, EIGHT), "turned": EIGHT[::-1], "half": (20,)}
    crossings |= {"same": [n + (-1) ** n / 10 for n in EIGHT]}
    first, *others, half = facts_of(crossings).verdict
    assert (first.standing.strategy, first.standing.verdict) == ("best", "better")
    assert [(fact.verdict, [one.strategy for one in fact.standings]) for fact in others] == [
        ("better", ["good"]), ("worse", ["bad"]), ("equal", ["same"]), ("no evidence", ["turned"]),
    ]  # fmt: skip
    assert others[1].standings[0].saving.share == pytest.approx(-0.25)
    assert half == f.Incomplete((("half", 1),), expected=8)


@pytest.mark.parametrize(
    ("random", "mine", "winner", "verdict"),
    [
        (BASE, (19, 27, 22, 28, 24, 31, 26), "mine", "no evidence"),
        (BASE, scaled(1.25), "random", "baseline"),
        (BASE, [n - 0.1 + (-1) ** n / 2 for n in BASE], "mine", "equal"),
        ((30, 32, 36, 38), (20, 21, 25, 26), "mine", "too few seeds"),
        ((30,), (15,), "mine", "too few seeds"),
    ],
)
def test_a_winner_without_evidence(random, mine, winner, verdict):
    found = facts_of({"random": random, "mine": mine})
    one = found.verdict[0].standing
    assert (one.strategy, one.verdict) == (winner, verdict)
    few = f.TooFewSeeds(len(mine), needed=5)
    assert (few in found.findings) == (found.verdict[0].untested == few) == (len(mine) < 5)
    if verdict in ("no evidence", "equal"):
        assert one.saving.low < 0 < one.saving.high
        assert f.TiedWithFirst(("random",)) in found.verdict
    if len(mine) < 5:
        assert (one.saving.low, one.saving.high) == (None, None)
        assert not of_kind(found.verdict, f.TiedWithFirst)
        # No gap is left where the interval would stand.
        said = sentences(found.verdict, context("random", "mine", seeds=len(mine)))
        assert not any(re.search(r" [,.;]", text) for text in said)


def test_a_shared_first_place():
    first, other = facts_of({"random": BASE, "copy": BASE}).verdict
    assert isinstance(first, f.SharedFirst)
    assert [one.strategy for one in first.standings] == ["copy", "random"]
    assert (other.verdict, other.standings[0].strategy) == ("equal", "copy")


def test_no_run_reached():
    close = curve("close", (0.1, 0.2, 0.3, 0.45, 0.45))
    assert facts_of({"random": (None,)}, close).verdict == (
        f.TargetNotReached((40,), "close", 0.45),
    )
    short = curve("random", (0.1, 0.2), labels=(10, 12))
    assert facts_of({}, short).verdict == (f.TargetNotReached((40,), None, None),)


def test_caps_that_differ_are_all_named():
    rows = runs("random", None, task="a") + runs("random", None, task="b")
    asked = context("random", tasks=("a", "b"))
    wide = TaskFacts("b", (10, 20, 30), query_labels=20, pool=200, description="")
    found = board_of(rows, replace(asked, tasks=(asked.tasks[0], wide))).facts
    assert found.verdict[0].caps == (30, 40)
    assert found.reading[:2] == (f.Resolution(10, 20), f.Censoring(30, 40))


def test_nothing_to_compare_with():
    (alone,) = facts_of({"random": (25, 26, 27)}).verdict
    assert isinstance(alone, f.OnlyStrategy)
    assert (alone.standing.strategy, alone.others) == ("random", False)
    alone, rest = facts_of({"random": (25, 26, 27), "mine": (12,)}).verdict
    assert alone.others
    assert rest == f.Incomplete((("mine", 1),), expected=3)
    none = board_of(pd.DataFrame(runs("random", 20)).iloc[:0], context("random", "mine")).facts
    assert none.verdict == (
        f.NothingRanked(), f.Incomplete((("mine", 0), ("random", 0)), expected=1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("crossings", "also", "why"),
    [
        ({"a": (20,), "b": (25,)}, (), "absent"),
        ({"a": (20,), "b": (25,)}, ("random",), "incomplete"),
        # Half of the pairs hide a saving, the others a loss.
        ({"a": (15, None), "random": (None, 20)}, (), "undecided"),
    ],
)
def test_no_comparison_without_a_usable_baseline(crossings, also, why):
    found = facts_of(crossings, extra={"a": 100}, also=also)
    strict = facts_of(crossings, extra={"a": 100}, also=also, accounting="strict")
    for facts in (found,) if why == "undecided" else (found, strict):
        assert facts.verdict[0].untested == f.NotComparable(why)
        assert f.NotComparable(why) in facts.findings
        assert not of_kind(facts.reading, f.Procedure)


# Of seven pairs, one with a run that does not reach is more than one in ten.
@pytest.mark.parametrize(
    ("random", "mine", "bound"),
    [
        (BASE, scaled(0.8, wobble=0.1), ""),
        ((*BASE[:6], None), scaled(0.8, wobble=0.1), "at least"),
        (BASE, (*scaled(0.8, BASE[:6]), None), "at most"),
        ((*BASE, *BASE[:3], None), (*scaled(0.8, BASE, 0.1), *BASE[:3], 20), ""),
    ],
)
def test_a_difference_that_the_cap_cuts_short_is_a_bound(random, mine, bound):
    saving = facts_of({"random": random, "mine": mine}).verdict[0].standing.saving
    assert saving.bound == bound
    assert (saving.low is None, saving.high is None) == (bound == "at most", bound == "at least")


def test_a_strategy_that_never_reached_has_a_bound():
    _, worse = facts_of({"random": EIGHT, "never": [None] * 8}).verdict
    saving = worse.standings[0].saving
    assert (worse.verdict, saving.bound, saving.low) == ("worse", "at least", None)
    assert saving.share < saving.high < 0


def test_a_ladder_stands_beside_the_target_that_was_asked_for():
    rungs = (Rung(0.4), Rung(0.5))
    crossings = {"random": EIGHT, "mine": scaled(0.8, EIGHT, 0.1)}
    first, wider = facts_of(crossings, wider=rungs).verdict
    assert (wider.strategy, wider.targets, wider.derived) == ("mine", 2, False)
    # Ten labels earlier the same distance is a larger share.
    assert wider.saving.share > first.standing.saving.share
    named = (Rung(0.4, "auto-30"), Rung(0.5, "auto-60"))
    assert of_kind(facts_of(crossings, wider=named).verdict, f.WiderSaving)[0].derived
    assert not of_kind(facts_of(crossings, ladder=rungs).verdict, f.WiderSaving)
    assert f.Procedure("random", 2, 1, 0.05) in facts_of(crossings, ladder=rungs).reading


def test_six_tasks_let_expect_something_of_others():
    crossings = {"random": BASE, "mine": scaled(0.8), "slow": scaled(1.2), "turned": BASE[::-1]}
    rows = [
        row
        for place, task in enumerate("abcdef")
        for name, labels in crossings.items()
        for row in runs(name, *[n + place / 10 * (name != "random") for n in labels], task=task)
    ]
    asked = context(*crossings, seeds=7, tasks=tuple("abcdef"))
    found = of_kind(board_of(rows, asked).facts.verdict, f.AcrossTasks)
    assert [(one.tasks, one.better, one.worse) for one in found] == [
        (6, ("mine",), ("turned", "slow"))
    ]
    fewer = board_of(rows, context(*crossings, seeds=7, tasks=tuple("abcde"))).facts
    assert not of_kind(fewer.verdict, f.AcrossTasks)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ()),
        ({"random": (0.99, 0.95), "mine": (1.0, 1.0)}, ()),
        (
            {"random": (0.99, 0.99), "mine": (0.98, 0.9)},
            (f.Undertrained((("a", ("mine",), 0.9),), everywhere=False),),
        ),
        (
            {"random": (0.8, 0.99), "mine": (0.98, 0.9)},
            (f.Undertrained((("a", ("mine", "random"), 0.8),), everywhere=True),),
        ),
    ],
)
def test_models_that_do_not_learn_their_labels_are_a_finding(values, expected):
    """Means over two seeds, 0.02 apart, of two cycles."""
    rows = [
        {
            "task": "a", "strategy": name, "seed": seed, "cycle": cycle,
            "train_accuracy": value + (0.01 if seed else -0.01),
        }
        for name, cycles in values.items() for seed in (0, 1) for cycle, value in enumerate(cycles)
    ]  # fmt: skip
    asked = context("random", "mine", seeds=2)
    found = undertrained(pd.DataFrame(rows), asked.strategies)
    board = board_of(
        runs("random", 20, 20) + runs("mine", 15, 15), replace(asked, undertrained=found)
    )
    facts = of_kind(board.facts.findings, f.Undertrained)
    assert [one.everywhere for one in facts] == [one.everywhere for one in expected]
    for mine, theirs in zip(facts, expected, strict=True):
        assert [row[:2] for row in mine.found] == [row[:2] for row in theirs.found]
        assert mine.found[0][2] == pytest.approx(theirs.found[0][2])


def stopping(strategy, labels, seed=0):
    """A run of two clients that hold these labels in its cycles, the second one twice the first."""
    rows = curve(strategy, [n / 100 for n in labels], seed=seed, labels=labels)
    return [{**row, "labels_by_client": f"{n // 3} {2 * n // 3}"}
            for row, n in zip(rows, labels, strict=True)]  # fmt: skip


def test_a_strategy_that_stops_early_is_read_where_it_stopped():
    rows = [*stopping("stops", (12, 21, 21, 21)), *stopping("stops", (12, 30, 39, 48), seed=1),
            *stopping("random", (12, 21, 30, 39, 48)),
            *stopping("slow", (12, 15, 18))]  # fmt: skip
    asked = context("random", "stops", "slow", seeds=2)
    found = stops(pd.DataFrame(rows), asked)
    assert {one.strategy for one in found} == {"stops"}
    board = board_of(runs("random", 20, 20), replace(asked, stops=found))
    [fact] = of_kind(board.facts.findings, f.Stopped)
    assert (fact.task, fact.strategy, fact.stopped, fact.runs) == ("a", "stops", 1, 2)
    assert fact.budget == pytest.approx(((21 + 39) / 2 / 200, 26 / 100))  # 100 samples a client
    assert {name: rest for name, *rest in fact.metrics} == {
        "accuracy": pytest.approx([0.3, 0.39]), "precision": [0.5, 0.5]}  # fmt: skip
    (text,) = sentences([fact], asked)
    assert "26.0 %" in text
    assert "39.0 %" in text


def test_a_run_that_waits_or_spends_its_cap_did_not_stop():
    rows = [*stopping("waits", (12, 12, 21, 30)), *stopping("spent", (12, 40, 40))]
    assert stops(pd.DataFrame(rows), context("waits", "spent")) == ()


def test_references_are_apart():
    crossings = {"random": (30, 30), "oracle": (15, 15)}
    first, *_, last = facts_of(crossings, references=frozenset({"oracle"})).verdict
    assert first.standing.strategy == "random"
    assert isinstance(last, f.Reference)
    assert (last.standing.strategy, last.standing.labels) == ("oracle", pytest.approx(15))


# How to read the table, and what was found: facts that are there, and those that are not.

ENOUGH = [20 + place / 2 for place in range(10)]
CENSORED = {"random": (22, 24, None, None), "x": (None, 20, 30, None), "y": BASE[:4]}
MET = {"random": (22, 26, 27, 28, 29), "mine": (15, 16, 17, 18)}
HUNGRY = {"random": (25,), "hungry": (15,), "never": (None,)}
BOTH = {"random": (30, 30), "feal": (20, 20)}
EASY = [row for seed in (0, 1) for row in curve("random", HIGH, task="easy", seed=seed)]
EASY += runs("mine", 15, 16, task="easy") + runs("random", 22, 26, task="hard")
EASY += runs("mine", 15, 16, task="hard")
PARTLY = [*runs("random", 22, task="b"), *runs("copy", 23, task="b")]
PARTLY += [*runs("random", 22, task="a"), *runs("copy", 22, task="a")]


@pytest.mark.parametrize(
    ("crossings", "options", "fact", "there"),
    [
        ({"random": ENOUGH[:2]}, {}, f.NoIntervals(2, 1, needed=3), True),
        (
            {"random": ENOUGH[:4], "x": ENOUGH[:4]}, {},
            f.Intervals(4, 1, wide=True), True,
        ),
        (
            {"random": ENOUGH[:5], "x": ENOUGH[:5]}, {},
            f.Intervals(5, 1, wide=False), True,
        ),
        ({"x": (20, 21, None, None, None)}, {}, f.BudgetsWithoutInterval(), True),
        ({"x": (20, 21, 22, None, None)}, {}, f.BudgetsWithoutInterval(), False),
        (
            {"random": EIGHT, "x": EIGHT[::-1], "y": EIGHT}, {},
            f.Procedure("random", 1, 2, 0.05), True,
        ),
        ({"random": EIGHT}, {}, f.Procedure("random", 1, 0, 0.05), False),
        (
            HUNGRY, {"extra": {"hungry": 900}, "accounting": "strict"},
            f.StrictBeyondCap(("hungry",)), True,
        ),
        (HUNGRY, {"extra": {"hungry": 900}}, f.StrictBeyondCap(("hungry",)), False),
        (HUNGRY, {"extra": {"hungry": 900}, "accounting": "strict"}, f.NeverReachedLast(), True),
        (HUNGRY, {}, f.NeverReachedLast(), False),
        # "x" has a pair that hides a saving, one that hides a loss, and one that hides both.
        (CENSORED, {}, f.CensoredPairs(4, (("y", 0, 2, 0),)), True),
        (CENSORED, {}, f.Dagger("random"), True),
        ({"random": (22,), "x": (20,)}, {}, f.Dagger("random"), False),
        ({"random": (25, None, None)}, {}, f.TargetTooHard("random", 1, 3, "accuracy"), True),
        ({"random": (25, None)}, {}, f.TargetTooHard("random", 1, 2, "accuracy"), False),
        (
            dict.fromkeys(("random", *"xyz"), ENOUGH[:4]), {"tasks": ("a", "b")},
            f.TooFewSeeds(4, needed=5), True,
        ),
        (
            dict.fromkeys(("random", *"xyz"), ENOUGH[:5]), {"tasks": ("a", "b")},
            f.TooFewSeeds(5, needed=5), False,
        ),
        (BOTH, {"trainers": (("random", "a"), ("feal", "b"))}, f.TrainersDiffer(("a", "b")), True),
        (BOTH, {"trainers": (("random", "a"), ("feal", "a"))}, f.TrainersDiffer(("a",)), False),
        (MET, {"rows": curve("mine", HIGH, seed=4)}, f.MetAtStart((("a", 1, 10),), False), True),
        (
            MET, {"rows": curve("mine", HIGH, seed=4), "target": 0.7},
            f.MetAtStart((("a", 1, 10),), False), False,
        ),
        # One run of twenty is not many.
        (
            {"random": range(20, 30), "mine": range(12, 21)}, {"rows": curve("mine", HIGH, seed=9)},
            f.MetAtStart((("a", 1, 20),), False), False,
        ),
        (
            {"random": (25, 25), "copy": (25, 25), "mine": (25, 26)}, {},
            f.SameCurves(("copy", "random"), ()), True,
        ),
        (
            {"random": (25, 25), "copy": (25, 25)}, {"extra": {"copy": 1}},
            f.SameCurves(("copy", "random"), ()), False,
        ),
    ],
)  # fmt: skip
def test_what_is_to_be_known_of_a_board(crossings, options, fact, there):
    found = facts_of(crossings, **options)
    assert (fact in (*found.reading, *found.findings)) == there
    if isinstance(fact, f.TrainersDiffer):
        assert (fact in found.verdict) == there


def test_tasks_are_named_where_a_fact_holds_on_some_of_them():
    asked = context("random", "mine", seeds=2, tasks=("easy", "hard"))
    assert f.MetAtStart((("easy", 2, 4),), several=True) in board_of(EASY, asked).facts.findings
    asked = context("random", "copy", tasks=("a", "b"))
    assert f.SameCurves(("copy", "random"), ("a",)) in board_of(PARTLY, asked).facts.findings


def test_ordinary_curves_need_no_remark():
    found = facts_of({"random": BASE, "mine": scaled(0.8)})
    assert (found.findings, found.page_only, found.provenance) == ((), (), ())


def test_a_strategy_that_ends_before_the_cap_is_pointed_out():
    thrifty = curve("thrifty", (0.4, 0.6, 0.6), labels=(10, 20, 30))
    assert facts_of({"random": (22,)}, thrifty).page_only == (f.EndsEarly(("thrifty",)),)


def test_missing_runs_are_grouped_by_reason():
    missing = [
        MissingRun("b", "half", 2, "not run yet"),
        *(MissingRun("a", "half", seed, "ValueError: shapes") for seed in (4, 0)),
        *(MissingRun("b", "half", seed, "ValueError: shapes") for seed in (0, 4)),
        MissingRun("a", "half", 1, ""),
    ]
    found = facts_of({"random": (20,)}, also=("half",), missing=missing).findings
    assert of_kind(found, f.Missing) == [
        f.Missing(("a",), "half", (1,), ""),
        f.Missing(("a", "b"), "half", (0, 4), "ValueError: shapes"),
        f.Missing(("b",), "half", (2,), "not run yet"),
    ]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((("processor", "A"), ("torch", "2")), ()),
        ((("processor", "B"), ("torch", "2")), (f.EnvironmentsDiffer(("processor",)),)),
        ((("torch", "2"),), (f.NotRecorded(("processor",)),)),
    ],
)
def test_what_was_not_recorded_is_not_called_different(second, expected):
    places = (Environment(3, (("processor", "A"), ("torch", "2"))), Environment(1, second))
    assert facts_of({"random": (20,)}, environments=places).provenance == expected


def test_boards_share_how_to_read_them_but_not_what_was_found():
    crossings = {"random": (22, 35, 36), "copy": (22, 35, 36), "x": (20, 21, None)}
    first, second = (facts_of(crossings, target=target) for target in (0.5, 0.6))
    (own, other), shared = f.notes([first, second])
    assert [*own] == of_kind(first.findings, f.TooFewSeeds | f.CensoredPairs)
    assert len(own) == 2
    assert f.TargetTooHard("random", 1, 3, "accuracy") in other
    assert not set(own) & set(other)
    assert {f.SameCurves(("copy", "random"), ()), *first.reading, *second.reading} <= set(shared)
    assert shared[0] == first.reading[0]
    assert f.notes([first]) == ([(*first.reading, *first.findings)], ())


# All facts.


@settings(max_examples=40)
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
    one = f.Standing("x", 20.4, 2, 3, "better", f.Saving(0.2, 0.1, 0.3, "at least"))
    special = {
        "standing": one, "standings": (one, one), "untested": None, "verdict": "worse",
        "why": "absent", "counts": (("x", 1, 0, 2),), "finished": (("x", 1),), "caps": (10, 20),
        "nearest": "x", "value": 0.4, "seeds": (0, 1) if kind is f.Missing else 3,
        "saving": one.saving, "found": (("a", ("x",), 0.4),),
        "budget": (0.03, 0.06), "metrics": (("accuracy", 0.4, 0.5),),
        "columns": (("reached", "6/6"), ("paper", "")), "facts": (f.NothingRanked(),),
        "tasks": {
            f.MetAtStart: (("a", 1, 2),), f.SameCurves: ("a",), f.Missing: ("a", "b"),
        }.get(kind, 2),
    }  # fmt: skip
    by_type = {"tuple[str, ...]": ("x", "y"), "str": "word", "int": 3, "bool": True, "float": 0.05}
    return kind(
        **{
            one.name: special.get(one.name, by_type.get(one.type))
            for one in dataclasses.fields(kind)
        }
    )


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.kind())
def test_every_fact_is_worded(kind):
    (text,) = sentences([example(kind)], context("random", "x", seeds=3))
    assert text.endswith(".")
    assert "None" not in text
    assert not LOOSE.search(text)


@pytest.mark.parametrize(
    "verdict",
    [
        "better",
        "worse",
        "equal",
        "baseline",
        "no evidence",
        "too few seeds",
        "not comparable",
        "external",
    ],
)
def test_every_verdict_of_a_winner_is_worded(verdict):
    why = {"too few seeds": f.TooFewSeeds(3, 5), "not comparable": f.NotComparable("undecided")}
    one = replace(example(f.Winner).standing, verdict=verdict)
    winner = f.Winner(one, why.get(verdict))
    asked = context("random", "x", seeds=3)
    (text,) = sentences([winner], asked)
    bare = replace(one, saving=f.Saving(0.2, None, None, ""))
    for said in (text, *sentences([replace(winner, standing=bare)], asked)):
        assert not LOOSE.search(said)
    assert ("fewest labels" in text) == (verdict not in ("better", "baseline"))
    if verdict not in ("baseline", "better"):
        (others,) = sentences([f.Compared(verdict, (one, one))], asked)
        assert others.count("x") >= 2
        assert not LOOSE.search(others)


def test_a_whole_board_in_words():
    rows = runs("random", *BASE) + runs("never", *[None] * 7) + runs("half", 20)
    rows += runs("mine", *[0.8 * n + n % 3 / 10 for n in BASE], extra=2)
    missing = [MissingRun("a", "half", seed, "not run to its end yet") for seed in range(1, 7)]
    asked = context(
        "random", "mine", "never", "half", seeds=7, missing=missing, accounting="strict"
    )
    board = board_of(rows, asked)
    assert board.verdict == [
        "mine reached 50 % with 12 % fewer labels than random (95 % interval 11 to 13 %), "
        "on this task and in 7 of 7 runs.",
        "More labels than random beyond chance: never (at least 55 % more, 95 % sure: 41 % more "
        "or worse).",
        "Not ranked, because runs are missing: half (1 of 7 runs).",
    ]
    assert board.notes == [
        "Resolution: the model is evaluated once per query, every 10 labels. Budgets between two "
        "evaluations are interpolated; step values are not.",
        "Reached: at or above the target at two evaluations in a row. A run that does not reach it "
        'by the cap of 40 labels counts with its labels at the cap. ">" marks a mean with such '
        "runs: the true mean is higher.",
        "Savings compare runs of the same task and seed with random. Their 95 % intervals hold for "
        "all 2 strategies at once and speak of these tasks. Better or worse: the interval excludes "
        "0; equal: it lies within 5 %. Strategies that the runs do not tell apart share ranks, as "
        "in 2-4.",
        "Brackets behind labels: 95 % intervals of that row alone, over 7 seeds on 1 task.",
        "A budget has no bracket if fewer than half of the runs, or fewer than three, reached the "
        "target.",
        "The cap limits paper labels. Labels that a strategy reads for itself (mine) are "
        "charged on top of it, so strict labels may exceed the cap.",
        "\u2020 marks savings from pairs in which not both runs reached the target. Such a pair "
        "pulls the saving up where only random did, down where only the strategy did, and towards "
        "zero where neither did. Where more than one pair in ten does so, the interval is open to "
        "that side.",
        "\u2020 Of 7 pairs, only random reached the target in: never 7.",
        "Missing: half on a, seeds 1, 2, 3, 4, 5 and 6: not run to its end yet.",
    ]


def test_names_neither_break_a_sentence_apart_nor_command_the_terminal():
    (text,) = sentences([f.TargetTooHard("\x1b[31m\nboo", 1, 3, "accuracy")], context("random"))
    assert "budget: boo reached" in text
    assert text.isprintable()


@pytest.mark.parametrize(
    ("mine", "ladder"),
    [
        (scaled(0.8, wobble=0.1), ()),
        (scaled(1.25, wobble=0.1), ()),
        (BASE, ()),
        (BASE[::-1], ()),
        ([None] * 7, ()),
        (scaled(0.8, wobble=0.1), (Rung(0.45), Rung(0.5))),
    ],
)
def test_a_board_of_costs_speaks_of_costs(mine, ladder):
    rows = paid(runs("random", *BASE[:6], None) + runs("mine", *mine), 10)
    asked = in_costs(context("random", "mine", seeds=7, ladder=ladder))
    found = board_of(rows, asked).facts
    said = sentences([*found.verdict, *found.reading, *found.findings], asked)
    page = render_page(comparison(rows, asked))
    wrong = re.compile(
        r"% fewer|(fewer|fewest|more|many|Median) labels|[0-9] labels on average|behind labels"
    )
    assert not [text for text in said if wrong.search(text)]
    assert "cost" in " ".join(said)
    board = page[page.index('<table class="board') : page.index('<h2 id="curves')]
    assert not wrong.search(board)
