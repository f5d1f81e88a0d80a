"""The question: targets that are asked for, and those that follow from the baseline's curves."""

import math

import pandas as pd
import pytest
from boards import GRID, context, curve, runs

from fal_bench.errors import InvalidSpecError
from fal_bench.report import wording
from fal_bench.report.budgets import read_runs
from fal_bench.report.leaderboard import build_leaderboard
from fal_bench.report.targets import Question, contexts_for

NAMES = ("random", "logo[n_init=4]")


def make(targets, accounting="strict", baseline=None):
    return Question.make(targets, accounting, baseline, NAMES)


def derive(rows, *, targets="auto", **changes):
    asked = context("random", "mine", **changes)
    return contexts_for(make(targets), read_runs(pd.DataFrame(rows), asked), asked)


@pytest.mark.parametrize(
    ("given", "targets"),
    [
        (0.5, (0.5,)),
        ([0.5, 0.3], (0.5, 0.3)),
        ("0.4, 0.5,auto", (0.4, 0.5, "auto")),
        (["0.4", "0.5,0.4"], (0.4, 0.5)),
        (1, (1.0,)),
    ],
)
def test_targets_are_a_number_a_list_or_text(given, targets):
    assert make(given).targets == targets


@pytest.mark.parametrize("given", [0, 1.5, "half", "", [], "0.5,,0.6", math.nan, "0.4;0.5"])
def test_targets_that_cannot_be_used(given):
    with pytest.raises(InvalidSpecError, match=r"^target_acc "):
        make(given)


def test_the_baseline_is_found_however_its_parameters_are_written():
    assert make(0.5, baseline="logo[n_init=4]").baseline == "logo[n_init=4]"
    assert make(0.5, baseline="logo[ n_init = 4 ]").baseline == "logo[n_init=4]"
    assert make(0.5).baseline == "random"
    with pytest.raises(InvalidSpecError, match="not among the strategies compared"):
        make(0.5, baseline="logo")
    with pytest.raises(InvalidSpecError, match="strict or paper"):
        make(0.5, accounting="honest")


def test_a_question_as_options():
    assert make([0.4, "auto"]).options() == "--target-acc 0.4,auto --accounting strict"
    assert make(0.5, "paper", "logo[n_init=4]").options() == (
        "--target-acc 0.5 --accounting paper --baseline 'logo[n_init=4]'"
    )


def test_automatic_targets_by_hand():
    # The cap is 40: its quarter, half and three quarters are the first three grid points.
    rows = curve("random", (0.1, 0.2, 0.4, 0.5, 0.6), seed=0)
    rows += curve("random", (0.2, 0.3, 0.5, 0.6, 0.7), seed=1)
    rows += curve("random", (0.9, 0.35, 0.45, 0.9, 0.9), seed=2)
    rows += curve("mine", (0.9,) * 5, seed=0)
    found = derive(rows, seeds=3)
    assert [one.target for one in found] == [0.2, 0.3, 0.45]
    assert [one.target_name for one in found] == ["auto-25", "auto-50", "auto-75"]
    assert [one.target_on("a") for one in found] == [0.2, 0.3, 0.45]


def test_every_task_has_its_own_automatic_target():
    rows = curve("random", (0.1, 0.2, 0.4, 0.5, 0.6), task="a")
    rows += curve("random", (0.5, 0.6, 0.8, 0.9, 0.9), task="b")
    found = derive(rows, tasks=("b", "a"))[1]
    assert (found.target_on("a"), found.target_on("b")) == (0.2, 0.6)
    assert found.target == 0.4
    row = build_leaderboard(pd.DataFrame(rows), found).set_index("strategy").loc["random"]
    # Both tasks are reached where they have their target, at half of the cap.
    assert (row["labels"], row["reached"], row["target_name"]) == (20, 2, "auto-50")


def test_automatic_targets_are_read_between_grid_points():
    rows = curve("random", (0.1, 0.2, 0.4, 0.5, 0.6))
    facts = context("random").tasks[0]
    changed = [type(facts)("a", (4, 24, 44), 20, 200, "")]
    rows = [{**row, "labels": 4 + 20 * row["cycle"]} for row in rows]
    rows = [{**row, "labels_strict": row["labels"]} for row in rows]
    asked = context("random")
    asked = type(asked)(**{**asked.__dict__, "tasks": tuple(changed)})
    found = contexts_for(make("auto"), read_runs(pd.DataFrame(rows), asked), asked)
    assert [one.target for one in found] == pytest.approx([0.135, 0.19, 0.29])


def test_targets_below_the_initial_labels_are_left_out():
    rows = [{**row, "labels": 25 + row["labels"]} for row in curve("random", (0.1, 0.2, 0.3, 0.4))]
    rows = [{**row, "labels_strict": row["labels"]} for row in rows]
    asked = context("random")
    facts = type(asked.tasks[0])("a", (35, 45, 55), 10, 200, "")
    asked = type(asked)(**{**asked.__dict__, "tasks": (facts,)})
    found = contexts_for(make("auto"), read_runs(pd.DataFrame(rows), asked), asked)
    assert [one.target_name for one in found] == ["auto-75"]
    flat = type(asked.tasks[0])("a", (45, 55), 10, 200, "")
    asked = type(asked)(**{**asked.__dict__, "tasks": (flat,)})
    with pytest.raises(InvalidSpecError, match="finds no target"):
        contexts_for(make("auto"), read_runs(pd.DataFrame(rows), asked), asked)


def test_automatic_targets_need_the_baseline():
    with pytest.raises(InvalidSpecError, match="needs finished runs of the baseline 'random'"):
        derive(runs("mine", 20))


def test_equal_targets_are_asked_once():
    assert len(derive(curve("random", (0.3,) * 5), targets="0.3,0.5,0.3")) == 2
    assert GRID[-1] == 40


def test_the_question_names_its_targets():
    found = derive(runs("random", 25, 27) + runs("mine", 15, 16), targets="0.4,auto", seeds=2)
    asked = wording.questions(found)
    accuracies = [f"{100 * one.target:.4g}" for one in found]
    assert len(accuracies) == 4
    listed = f"{', '.join(accuracies[:-1])} and {accuracies[-1]}"
    assert asked == f"Labels until the federation reaches {listed} % accuracy"
    assert wording.target(found[2]) == f"{accuracies[2]} % (random at 50 % of the cap)"


def test_the_question_of_several_tasks_says_how_their_targets_are_derived():
    rows = runs("random", 25, task="a") + runs("random", 30, task="b")
    found = derive(rows, targets="0.4,auto", tasks=("a", "b"))
    assert wording.questions(found) == (
        "Labels until the federation reaches 40 % accuracy and the accuracy of random at 25, 50 "
        "and 75 % of the cap"
    )
    assert wording.question(found[0]) == "Labels until the federation reaches 40 % accuracy"
