"""The question: targets that are asked for, and those that follow from the baseline's curves."""

import math
import re
from dataclasses import replace

import pandas as pd
import pytest
from boards import board_of, context, curve, runs
from stored import TINY, row, spec, store_run

from fal_bench import load, report
from fal_bench.errors import InvalidSpecError
from fal_bench.reporting import wording
from fal_bench.reporting.budgets import read_runs
from fal_bench.reporting.targets import Question, contexts_for
from fal_bench.task.target import parse_targets


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two strategies, of which one has a version that recorded no metric but the accuracy."""
    root = tmp_path_factory.mktemp("results")
    for seed in (0, 1):
        store_run(root, spec(seed=seed))
        store_run(root, spec("logo[n_init=4]", seed=seed), start=0.2)
    return load(root)


@pytest.fixture
def make(results):
    def ask(target_acc=None, accounting="strict", baseline=None, target=None):
        return Question.make(target_acc, target, accounting, baseline, results)

    return ask


def derive(rows, *, targets="auto", grid=None, **changes):
    """The contexts of targets; with a grid, curves of one task have their points on it."""
    asked = context("random", "mine", **changes)
    if grid is not None:
        (facts,) = asked.tasks
        asked = replace(asked, tasks=(replace(facts, grid=grid, query_labels=grid[1] - grid[0]),))
    read = read_runs(pd.DataFrame(rows), asked)
    targets = parse_targets(targets.split(","), "targets")
    return [one for target in targets for one in contexts_for(target, read, asked)]


@pytest.mark.parametrize(
    ("given", "targets"),
    [
        (None, [0.5]),
        (0.5, [0.5]),
        ([0.5, 0.3], [0.5, 0.3]),
        ("0.4, 0.5,auto", [0.4, 0.5, "auto"]),
        (["0.4", "0.5,0.4"], [0.4, 0.5]),
        (1, [1.0]),
    ],
)
def test_targets_are_a_number_a_list_or_text(make, given, targets):
    assert [one.plain for one in make(given).targets] == targets


@pytest.mark.parametrize("given", [0, 1.5, "half", "", [], "0.5,,0.6", math.nan, "0.4;0.5"])
def test_targets_that_cannot_be_used(make, given):
    with pytest.raises(InvalidSpecError, match=r"^target_acc "):
        make(given)


def test_the_baseline_is_found_however_its_parameters_are_written(make):
    assert make(0.5, baseline="logo[n_init=4]").baseline == "logo[n_init=4]"
    assert make(0.5, baseline="logo[ n_init = 4 ]").baseline == "logo[n_init=4]"
    assert make(0.5).baseline == "random"
    with pytest.raises(InvalidSpecError, match="'logo'"):
        make(0.5, baseline="logo")
    with pytest.raises(InvalidSpecError, match="strict or paper"):
        make(0.5, accounting="honest")


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({"target_acc": [0.4, "auto"]}, "--target-acc 0.4,auto --accounting strict"),
        (
            {"target_acc": 0.5, "accounting": "paper", "baseline": "logo[n_init=4]"},
            "--target-acc 0.5 --accounting paper --baseline 'logo[n_init=4]'",
        ),
        (
            {"target_acc": 0.5, "target": ["loss=0.8", "macro-f1=auto"]},
            "--target-acc 0.5 --target loss=0.8 --target macro_f1=auto --accounting strict",
        ),
    ],
)
def test_a_question_as_options(make, given, options):
    assert make(**given).options() == options


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
    row = board_of(rows, found).leaderboard.set_index("strategy").loc["random"]
    # Both tasks are reached where they have their target, at half of the cap.
    assert (row["labels"], row["reached"], row["target_name"]) == (20, 2, "auto-50")


def test_automatic_targets_are_read_between_grid_points():
    rows = curve("random", (0.1, 0.2, 0.4, 0.5, 0.6), labels=range(4, 100, 20))
    found = derive(rows, grid=(4, 24, 44))
    assert [one.target for one in found] == pytest.approx([0.135, 0.19, 0.29])


def test_targets_below_the_initial_labels_are_left_out():
    rows = curve("random", (0.1, 0.2, 0.3, 0.4), labels=(35, 45, 55, 65))
    assert [one.target_name for one in derive(rows, grid=(35, 45, 55))] == ["auto-75"]
    with pytest.raises(InvalidSpecError, match="no target"):
        derive(rows, grid=(45, 55))


def test_automatic_targets_need_the_baseline():
    with pytest.raises(InvalidSpecError, match="'random'"):
        derive(runs("mine", 20))


def test_equal_targets_are_asked_once():
    assert len(derive(curve("random", (0.3,) * 5), targets="0.3,0.5,0.3")) == 2


def test_the_question_names_its_targets():
    found = derive(runs("random", 25, 27) + runs("mine", 15, 16), targets="0.4,auto", seeds=2)
    first, *others, last = (f"{100 * one.target:.4g}" for one in found)
    assert f" {', '.join([first, *others])} and {last} %" in wording.questions(found)
    assert wording.target(found[2]).startswith(f"{others[1]} % (random at 50 %")
    rows = runs("random", 25, task="a") + runs("random", 30, task="b")
    found = derive(rows, targets="0.4,auto", tasks=("a", "b"))
    said = wording.questions(found)
    assert re.findall(r"\d+|random", said)[-5:] == ["40", "random", "25", "50", "75"]
    assert wording.question(found[0]).endswith(" 40 % accuracy")


# Targets of other metrics.


def with_metric(root, run, values, name="calm"):
    """Store a run that recorded one metric more."""
    rows = [row(TINY, cycle, 0.1) for cycle in range(len(values))]
    rows = [
        replace(one, metrics={**one.metrics, name: value})
        for one, value in zip(rows, values, strict=True)
    ]
    return store_run(root, run, rows=rows, higher_is_better={name: False})


FALLING = (0.9, 0.7, 0.5, 0.3, 0.1)


def test_a_metric_that_is_better_when_lower_is_reached_from_above(tmp_path):
    for seed in (0, 1):
        with_metric(tmp_path, spec(seed=seed), FALLING)
        with_metric(tmp_path, spec("mine", seed), (0.7, 0.5, 0.3, 0.1, 0.1))
    result = report(tmp_path, target="calm=0.6", accounting="paper")
    board = result.leaderboard.set_index("strategy")
    # Half way between the second and the third model, or between the first and the second.
    assert board["labels"].to_dict() == {"mine": pytest.approx(15), "random": pytest.approx(25)}
    assert set(board["metric"]) == {"calm"}
    assert set(board["target"]) == {0.6}
    assert board["target_acc"].isna().all()
    assert (result.context.metric, result.context.higher_is_better) == ("calm", False)
    # Never reached: the lower value at the cap is the better one.
    ranks = report(tmp_path, target="calm=0.01").leaderboard.set_index("strategy")["rank"]
    assert ranks.to_dict() == {"mine": 1, "random": 2}


def test_automatic_targets_of_any_metric(tmp_path):
    with_metric(tmp_path, spec(), FALLING)
    found = report(tmp_path, target="calm=auto").boards
    assert [one.context.target_name for one in found] == ["auto-25", "auto-50", "auto-75"]
    assert [one.context.target for one in found] == pytest.approx([0.9, 0.7, 0.5])


def test_a_new_metric_voids_no_finished_run(tmp_path):
    """Runs without it are valid, and their strategy is incomplete on that board alone."""
    for seed in (0, 1):
        store_run(tmp_path, spec("old", seed))
        with_metric(tmp_path, spec(seed=seed), FALLING)
    result = report(tmp_path, target_acc=0.3, target="calm=0.6")
    assert result.missing == ()
    accuracy, calm = (one.leaderboard.set_index("strategy") for one in result.boards)
    assert "incomplete" not in set(accuracy["verdict"])
    assert calm["verdict"].to_dict() == {"random": "baseline", "old": "incomplete"}
    lacking = result.boards[1].context.missing
    assert {(one.strategy, one.seed) for one in lacking} == {("old", 0), ("old", 1)}
    assert all("calm" in one.reason for one in lacking)
    assert [name for name in result.curves if name == "calm"]


def test_a_metric_that_no_run_recorded_is_refused_with_those_that_are(tmp_path):
    store_run(tmp_path, spec())
    with pytest.raises(InvalidSpecError, match=r"'calm'.*accuracy, loss"):
        report(tmp_path, target="calm=0.6")


def test_a_metric_is_no_part_of_the_key(tmp_path):
    assert with_metric(tmp_path, spec(), FALLING).path.name == spec().key
