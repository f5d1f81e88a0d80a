"""Findings on made-up curves whose truth is known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fal_bench.inspection.facts import (
    Cost,
    HeadRoom,
    MoreTraining,
    Need,
    Noise,
    NotRun,
    Rise,
    Saved,
    SeedsNeeded,
    Separation,
    Smoothness,
    Training,
)
from fal_bench.inspection.findings import Evidence, findings
from fal_bench.inspection.inspection import InspectedTask, Inspection
from fal_bench.inspection.looks import Curve
from fal_bench.inspection.wording import advice, sentence
from fal_bench.task import Task

TASK = Task(name="made-up", clients=1, initial_labels=10, query_size=10, budget_cap=150)
LABELS = np.arange(10, 161, 10.0)  # up to the cap, and one confirming look
SEEDS = 8


def curves(
    factor=1.0, *, spread=0.02, noise=0.001, jump=0.0, at=8, training=1.0, plus=0.0, stream=0
):
    """Runs that reach every accuracy with ``factor`` times the labels of a straight line."""
    rng = np.random.default_rng(stream)
    runs = {}
    for seed in range(SEEDS):
        labels = LABELS / (factor * math.exp(spread * rng.normal()))
        accuracy = 0.2 + 0.004 * labels + plus + noise * rng.normal(size=LABELS.size)
        accuracy[at:] += jump
        runs[seed] = Curve(LABELS, accuracy, np.full(LABELS.size, float(training)))
    return runs


def inspected(twice=None, stored=None, margin=None, oracle=None, more=None, **random):
    """What is found where random's curves are so, and all others are good unless given."""
    runs = {
        "random": curves(**random),
        "fal-margin": margin or curves(0.85, stream=1),
        "oracle-greedy": oracle or curves(0.7, stream=2),
    }
    same = curves(**{**random, "training": 1.0})
    more = {"random": same if twice is None else twice, "fal-margin": more or runs["fal-margin"]}
    seconds = dict.fromkeys(runs, 30.0)
    evidence = Evidence(TASK, runs, more, stored or {}, seconds)
    found = {type(one): one for one in reversed(findings(evidence))}  # of two, that of random
    return found, InspectedTask(TASK, findings(evidence))


def grades(found):
    return {kind.__name__: one.grade for kind, one in found.items()}


def test_a_good_task_is_worth_its_minutes():
    stored = {name: curves(by, stream=5 + n) for n, (name, by) in enumerate(
        {"a": 1.0, "b": 0.85, "c": 0.7, "d": 0.6}.items()
    )}  # fmt: skip
    found, task = inspected(stored=stored)
    assert set(grades(found).values()) == {"good"}
    assert task.verdict.worth is True
    assert task.changes == []
    assert found[Separation].separated == found[Separation].pairs == 6


@given(st.floats(0.3, 0.999), st.floats(0.0, 0.1))
@settings(max_examples=10)
def test_undertrained_is_what_fits_too_little_and_moves_with_more_training(training, gain):
    assume(min(abs(training - 0.95), abs(training - 0.98), abs(gain - 0.005)) > 1e-6)
    found, task = inspected(training=training, twice=curves(plus=gain))
    fit, more = found[Training], found[MoreTraining]
    assert fit.smallest == pytest.approx(training)
    assert more.change == pytest.approx(gain)
    # The curve rises by 0.004 a label, and the middle target lies at 80 labels.
    assert math.log1p(-more.saving) == pytest.approx(math.log1p(-gain / 0.004 / 80), abs=0.01)
    assert (more.grade == "fault") == (gain > 0.005 or more.saving > 0.03)
    assert (fit.grade == "good") == (training >= 0.98)
    assert (fit.grade == "fault") == (training < 0.95 and more.grade != "good")
    assert task.verdict.worth == (more.grade != "fault")


def test_training_that_is_too_short_for_a_strategy_that_chooses_is_a_fault():
    found, task = inspected(more=curves(0.85, stream=1, plus=0.05))
    assert found[MoreTraining].grade == "good"
    by = {one.strategy: one for one in task.findings if isinstance(one, MoreTraining)}
    assert by["fal-margin"].change == pytest.approx(0.05)
    assert by["fal-margin"].grade == "fault"
    assert task.verdict.faults == ("more_training",)
    assert any("fal-margin" in sentence(one) for one in by.values())


def test_a_change_that_noise_explains_is_a_remark():
    found, task = inspected(noise=0.03, twice=curves(noise=0.03, stream=9))
    assert abs(found[MoreTraining].change) > MoreTraining.CHANGE
    assert found[MoreTraining].grade == "remark"
    assert any("seeds" in text for text in task.changes)


def test_training_accuracy_that_was_not_recorded_is_unknown():
    found, _ = inspected(training=math.nan)
    assert found[Training].grade == "unknown"
    assert found[Training].data()["smallest"] is None


@given(st.floats(0.0, 0.5), st.integers(3, 14))
@settings(max_examples=10)
def test_a_jump_is_found_where_it_is(jump, at):
    assume(abs(jump - 0.04) > 1e-6)  # there it is as large as its neighbours together
    found, _ = inspected(jump=jump, at=at, noise=0.0, spread=0.0)
    smooth, rise = found[Smoothness], 0.56 + jump
    assert smooth.share == pytest.approx((0.04 + jump) / rise)
    assert (smooth.grade == "fault") == (smooth.share > 0.15)
    if jump > 0.001:
        assert smooth.labels == (10 * at, 10 * at + 10)
    assert smooth.jumps == (jump > 0.04)


@pytest.mark.parametrize(("at", "share"), [(1, 0.04 / 0.86), (2, 0.04 / 0.86), (3, 0.34 / 0.86)])
def test_the_first_two_steps_may_be_steep(at, share):
    found, _ = inspected(jump=0.3, at=at, noise=0.0, spread=0.0)
    assert found[Smoothness].share == pytest.approx(share)


@pytest.mark.parametrize("missed", [3, 5])
def test_a_run_that_never_reaches_the_target_makes_no_pair(missed):
    margin = curves(0.85, stream=1)
    for seed in range(missed):
        margin[seed] = replace(margin[seed], values=np.full(LABELS.size, 0.2))
    found, _ = inspected(margin=margin)
    assert found[SeedsNeeded].pairs == SEEDS - missed
    counts = {one.strategy: one.seeds for one in found[HeadRoom].saved}
    # Less than half of the pairs say nothing about the saving.
    assert counts.get("fal-margin") == (SEEDS - missed if missed < SEEDS / 2 else None)
    assert counts["oracle-greedy"] == SEEDS


def test_a_step_that_noise_explains_is_a_remark():
    def grades(jump):
        return [
            inspected(jump=jump, at=6, noise=0.02, stream=stream)[0][Smoothness].grade
            for stream in range(40)
        ]

    at_the_limit = grades(0.051)  # explains 14.9 % of the rise but for noise
    assert at_the_limit.count("fault") <= 4  # in 5 of 100
    assert at_the_limit.count("remark") >= 10
    assert set(grades(0.25)) == {"fault"}


@given(st.sampled_from([0.002, 0.01, 0.03, 0.1]), st.integers(0, 100))
@settings(max_examples=8)
def test_noise_is_measured_against_the_slope(noise, stream):
    # What seeds do not share, but lies on a smooth trend, is no noise.
    found, _ = inspected(noise=noise, spread=0.2, stream=stream, jump=0.05)
    measured = found[Noise]
    assert measured.sd == pytest.approx(noise, rel=0.45)
    assert measured.slope == pytest.approx((0.14 * 4 + 0.05) / 14, rel=0.3)
    ratio = measured.sd / measured.slope
    assert measured.grade == ("fault" if ratio > 1 else "remark" if ratio > 0.5 else "good")
    if noise != 0.03:  # which lies near a limit
        assert measured.grade == ("fault" if noise > 0.04 else "good")


@given(st.floats(0.6, 1.3), st.floats(0.6, 1.3))
@settings(max_examples=10)
def test_head_room_is_what_the_best_of_both_saves(reference, usual):
    found, _ = inspected(
        spread=0.0,
        noise=0.0,
        oracle=curves(reference, spread=0.0, noise=0.0),
        margin=curves(usual, spread=0.0, noise=0.0),
    )
    room = found[HeadRoom]
    assert [one.strategy for one in room.saved] == ["oracle-greedy", "fal-margin"]
    assert [one.share for one in room.saved] == pytest.approx([1 - reference, 1 - usual])
    most = 1 - min(reference, usual)
    if min(abs(most - 0.05), abs(most - 0.10)) > 1e-6:
        assert room.grade == ("fault" if most < 0.05 else "remark" if most < 0.10 else "good")


@pytest.mark.parametrize(
    ("factor", "shown"), [(0.7, ["fal-margin", "other"]), (1.2, ["fal-margin"])]
)
def test_head_room_counts_the_best_stored_strategy_that_surely_saves(factor, shown):
    stored = {"other": curves(factor, stream=5), "worse": curves(1.4, stream=6)}
    found, _ = inspected(stored=stored)
    room = found[HeadRoom]
    assert [one.strategy for one in room.saved if one.strategy != "oracle-greedy"] == shown
    if factor < 1:
        assert room.saved[-1].share == pytest.approx(1 - factor, abs=0.1)
        assert room.grade == "good"


def test_runs_that_never_reach_the_target_are_no_saving():
    found, _ = inspected(oracle=curves(9.0))
    assert [one.strategy for one in found[HeadRoom].saved] == ["fal-margin"]


def test_the_spread_of_the_savings_decides_how_many_seeds_they_need():
    few, many = (inspected(spread=spread)[0][SeedsNeeded] for spread in (0.02, 0.4))
    assert few.asked.seeds < many.asked.seeds
    assert (few.grade, many.grade) == ("good", "fault")
    for found in (few, many):
        for need in found.needs:
            assert (need.low or 1001) <= (need.seeds or 1001) <= (need.high or 1001)
        by_saving = [need.seeds or 1001 for need in found.needs]
        assert by_saving == sorted(by_saving, reverse=True)
    assert few.minutes == few.asked.seeds * 1.0


def test_strategies_without_all_seeds_do_not_count_for_separation():
    lacking = dict(list(curves(0.5).items())[:-1])
    stored = {"a": curves(), "b": curves(0.8, stream=1), "c": lacking, "d": curves(9.0)}
    found, _ = inspected(stored=stored)
    assert found[Separation].strategies == 2
    assert found[Separation].grade == "unknown"
    found, task = inspected(stored={**stored, "e": curves(0.9, spread=0.3, stream=4)})
    assert found[Separation].strategies == 3
    chance = {f"s{n}": curves(spread=0.3, stream=n) for n in range(10, 16)}
    found, task = inspected(stored=chance)
    assert found[Separation].grade == "fault"
    assert not task.verdict.worth


def test_where_labels_are_worth_nothing_the_rest_is_not_measured():
    runs = {seed: Curve(LABELS, np.full(16, 0.3), np.ones(16)) for seed in range(SEEDS)}
    both = {"random": runs, "fal-margin": runs}
    evidence = Evidence(TASK, both, both)
    task = InspectedTask(TASK, findings(evidence))
    assert task.verdict.faults == ("rise",)
    assert not task.verdict.worth
    assert {type(one) for one in task.findings} == {Cost, Rise, Training}


def test_one_run_says_nothing():
    one = dict(list(curves().items())[:1])
    task = InspectedTask(TASK, findings(Evidence(TASK, {"random": one}, {})))
    assert task.verdict.worth is None
    none = InspectedTask(TASK, findings(Evidence(TASK, {}, {})))
    assert none.findings == (NotRun("random", False, 0, 2),)


def test_nothing_is_worth_its_minutes_for_lack_of_runs():
    runs = {"random": curves(), "fal-margin": curves(0.85), "oracle-greedy": curves(0.7)}
    for lacking in (
        Evidence(TASK, runs, {}),
        Evidence(TASK, {**runs, "fal-margin": {}, "oracle-greedy": {}}, runs),
        Evidence(TASK, runs, {"random": runs["random"]}),
    ):
        task = InspectedTask(TASK, findings(lacking))
        assert task.verdict.worth is None
        assert task.verdict.unknown
    noisy = Evidence(TASK, {**runs, "random": curves(noise=0.06)}, {})
    assert InspectedTask(TASK, findings(noisy)).verdict.worth is False


NAN = math.nan
NEEDS = tuple(Need(share, None, 3, None) for share in (0.05, 0.1, 0.2))
EVERY = [
    Cost((("random", 1e-3), ("fal-margin", 100.0))),
    Rise(0.2, 0.2, 0.1, (10, 60), 6, 0.2),
    Rise(0.2, 0.9, 0.1, (10, 60), 6, 0.5),
    *(Training(low, 10, 1.0, more) for low in (NAN, 0.9, 0.96, 1.0)
      for more in ("good", "fault", "remark", "unknown")),
    *(MoreTraining("random", 20, change, 10, 0.01, saving, 0.01)
      for change in (0.0, 0.007, 0.1) for saving in (NAN, 0.0, -0.5)),
    *(Smoothness(share, (10, 20), beside, even, bound)
      for share in (NAN, 0.1, 0.3) for beside in (-0.1, 0.29) for even in (0.1, 0.3)
      for bound in (0.01, 0.2)),
    *(Noise(sd, 0.01, 1) for sd in (NAN, 0.0, 0.007, 0.02)),
    HeadRoom(()),
    *(HeadRoom((Saved("fal-margin", share, (-0.1, 0.3), 3),)) for share in (-0.1, 0.07, 0.3)),
    SeedsNeeded(NAN, 1, "fal-margin", (), NAN),
    SeedsNeeded(0.1, 3, "fal-margin", NEEDS, NAN),
    SeedsNeeded(0.1, 3, "fal-margin", tuple(Need(n.saving, 20, 3, 90) for n in NEEDS), 3.0),
    Separation(2, 5, NAN, 0, 0),
    *(Separation(4, 5, share, 2, 6) for share in (0.1, 0.4, 0.9)),
    NotRun("random", False, 1, 2),
    NotRun("random", True, 1, 2),
    NotRun("random", False, 0, 2, "worst_client_loss"),
]  # fmt: skip


@pytest.mark.parametrize("fact", EVERY, ids=lambda fact: f"{fact.kind()}-{fact.grade}")
def test_every_finding_is_worded_and_every_fault_has_advice(fact):
    assert sentence(fact).endswith(".")
    assert "nan" not in sentence(fact)
    task = InspectedTask(TASK, (fact,))
    assert sentence(task.verdict)
    json.dumps(task.data(), allow_nan=False)
    undertrained = isinstance(fact, Training) and fact.more == "fault"  # what moves says it
    if fact.grade in ("fault", "remark") and not undertrained:
        assert advice(fact).endswith(".")
    if fact.grade == "good":
        assert advice(fact) == ""


def test_markdown_has_a_row_a_task_and_names_what_is_wrong():
    _, good = inspected()
    _, short = inspected(twice=curves(jump=0.3, at=6, plus=0.1), jump=0.3, at=6)
    bare = InspectedTask(TASK, findings(Evidence(TASK, {}, {})))
    head, _, *rows = Inspection((good, short, bare)).text("markdown").splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in (head, *rows[:3])]
    named = [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]
    assert [one["worth its minutes"] for one in named] == ["yes", "no", "not known"]
    needed = next(one for one in good.findings if isinstance(one, SeedsNeeded))
    for need in needed.needs:
        assert named[0][f"seeds for {100 * need.saving:.0f} %"] == str(need.seeds)
    assert "+10.0 points" in named[1]["twice the training, random"]
    assert "**" in named[1]["largest step"]
    assert "**" not in "".join(named[0].values())
    assert set(list(named[2].values())[2:]) == {"-"}
    faults = {one.kind() for one in short.findings if one.grade == "fault"}
    assert len([row for row in rows if row.startswith("- ")]) == len(faults) >= 2


def test_an_inspection_shows_itself_and_is_plain_data():
    _, task = inspected(training=0.5, twice=curves(plus=0.1))
    found = Inspection((task,))
    assert found.facts["made-up"][0].faults == ("training", "more_training")
    data = json.loads(found.text("json"))
    assert [one["kind"] for one in data["tasks"][0]["findings"]][:3] == ["cost", "rise", "training"]
    for text in (str(found), found.text()):
        assert "made-up" in text
        for change in task.changes:
            assert change[:20] in text
