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
from fal_bench.reporting.targets import Question, contexts_for, rounded
from fal_bench.task.suite import Suite
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
    return contexts_for(parse_targets(targets.split(","), "targets"), read, asked)


@pytest.mark.parametrize(
    ("given", "targets"),
    [
        (None, ["auto"]),
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


def test_a_suites_targets_are_held_to_what_their_metric_can_be(results):
    for text, possible in (("auroc=75", False), ("auroc=0.75", True), ("loss=75", True)):
        name = str(results.tasks["suite"].iloc[0])
        suite = Suite(name, "", 2, (TINY,), parse_targets([text], "targets"))
        asked = replace(results, provenance=replace(results.provenance, suites={name: suite}))
        if possible:
            assert Question.make(None, None, "strict", None, asked).targets == asked.targets
            continue
        with pytest.raises(InvalidSpecError, match=r"auroc.*75.*auroc=0\.5"):
            Question.make(None, None, "strict", None, asked)


def test_the_baseline_is_found_however_its_parameters_are_written(make):
    assert make(0.5, baseline="logo[n_init=4]").baseline == "logo[n_init=4]"
    assert make(0.5, baseline="logo[ n_init = 4 ]").baseline == "logo[n_init=4]"
    assert make(0.5).baseline == "random"
    with pytest.raises(InvalidSpecError, match="'logo'"):
        make(0.5, baseline="logo")
    with pytest.raises(InvalidSpecError, match="accounting"):
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


def test_an_automatic_target_is_a_ladder_up_the_rise_of_the_baseline():
    # From a mean of 0.4 with the initial labels to one of 0.6 at the cap of 40 labels.
    rows = curve("random", (0.1, 0.2, 0.4, 0.5, 0.6), seed=0)
    rows += curve("random", (0.2, 0.3, 0.5, 0.4, 0.7), seed=1)
    rows += curve("random", (0.9, 0.35, 0.45, 0.9, 0.9), seed=2)
    rows += curve("mine", (0.9,) * 5, seed=0)
    (found,) = derive(rows, seeds=3)
    assert [rung.value for rung in found.ladder] == [0.46, 0.48, 0.5, 0.52, 0.54, 0.56, 0.58]
    assert [rung.name for rung in found.ladder] == [f"auto-{step}" for step in range(30, 91, 10)]
    # Labels refer to the middle one.
    assert (found.target, found.target_on("a"), found.target_name) == (0.52, 0.52, "auto")
    assert (found.rungs, found.wider) == (found.ladder, ())


def test_every_task_has_its_own_ladder():
    rows = curve("random", (0.1, 0.2, 0.4, 0.5, 0.6), task="a")
    rows += curve("random", (0.5, 0.6, 0.8, 0.9, 0.9), task="b")
    (found,) = derive(rows, tasks=("b", "a"))
    # 0.1 + 0.6 * 0.4 and 0.5 + 0.6 * 0.4
    assert (found.target_on("a"), found.target_on("b")) == (0.34, 0.74)
    assert found.target == 0.54
    assert found.ladder[0].by_task == (("a", 0.22), ("b", 0.62))
    row = board_of(rows, found).leaderboard.set_index("strategy").loc["random"]
    # Both tasks are reached where they have their target, 0.7 of the way from 20 to 30 labels.
    assert (row["labels"], row["reached"], row["target_name"]) == (pytest.approx(27), 2, "auto")


def test_a_ladder_is_read_between_models_and_where_a_run_ends():
    # At the cap of 44 labels, a sixth of the way from the model of 40 to that of 64.
    rows = curve("random", (0.12, 0.2, 0.3, 0.54), labels=(4, 20, 40, 64))
    (found,) = derive(rows, grid=(4, 24, 44))
    assert found.target == pytest.approx(0.12 + 0.6 * 0.22)
    # A run that stops early ends at its last model, that of 40 labels.
    (found,) = derive(rows[:3], grid=(4, 24, 44))
    assert found.target == pytest.approx(0.12 + 0.6 * 0.18)


def test_all_runs_stand_in_for_a_baseline_that_has_none():
    rows = curve("mine", (0.1, 0.2, 0.4, 0.5, 0.6)) + curve("other", (0.3, 0.4, 0.5, 0.8, 0.8))
    asked = context("mine", "other")
    (found,) = contexts_for(
        parse_targets(["auto"], "targets"), read_runs(pd.DataFrame(rows), asked), asked
    )
    assert found.target == pytest.approx(0.2 + 0.6 * (0.65 - 0.2))


@pytest.mark.parametrize("scale", [1, 0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_ladder_has_its_steps_at_any_scale(scale, sign):
    values = (0.1, 0.2, 0.4, 0.5, 0.6)
    rows = []
    for name, more in (("random", 0), ("mine", 0.05)):
        rows += [
            {**row, "mse": sign * scale * (row["accuracy"] + more)} for row in curve(name, values)
        ]
    (found,) = derive(rows, metric="mse", higher_is_better=sign > 0)
    # From 0.1 to 0.5.
    steps = [0.22, 0.26, 0.3, 0.34, 0.38, 0.42, 0.46]
    assert [rung.value for rung in found.ladder] == pytest.approx([sign * scale * n for n in steps])
    labels = board_of(rows, found).leaderboard.set_index("strategy")["labels"]
    # 0.34 is met 0.7 of the way from 20 to 30 labels, and with 0.05 more 0.45 of it.
    assert labels.to_dict() == pytest.approx({"random": 27, "mine": 24.5})


@pytest.mark.parametrize(
    ("rise", "decimals"),
    [
        (0, 3),
        (1e5, 3),
        (0.6, 3),
        (0.1, 3),
        (0.0513, 3),
        (0.04, 4),
        (0.01, 4),
        (3e-7, 9),
        (5e-324, 326),
    ],
)
def test_targets_are_short_unless_the_rise_is_small(rise, decimals):
    assert rounded(1 / 3, rise) == round(1 / 3, decimals)


def test_targets_that_are_asked_for_stand_beside_a_ladder():
    rows = curve("random", (0.1, 0.2, 0.4, 0.5, 0.6))
    (one,) = derive(rows, targets="0.45")
    (automatic,) = derive(rows)
    assert (one.target, one.ladder, one.wider) == (0.45, (), automatic.ladder)
    # Several are a ladder of their own.
    several = derive(rows, targets="0.3,0.45,auto")
    asked = [rung.value for rung in several[0].wider]
    assert (asked, several[1].wider) == ([0.3, 0.45], several[0].wider)
    assert several[2] == automatic


def test_equal_targets_are_asked_once():
    assert len(derive(curve("random", (0.3,) * 5), targets="0.3,0.5,0.3")) == 2


def test_the_question_names_its_targets():
    rows = runs("random", 25, 27) + runs("mine", 15, 16)
    found = derive(rows, targets="0.4,0.5,auto", seeds=2)
    said = wording.which_strategy(found)
    assert re.findall(r"\d+", said) == ["40", "50"]
    assert "the same accuracy" in said
    assert wording.question(found[0]).endswith(" 40 % accuracy")
    assert wording.target(found[2]).startswith("7 ")
    # From 0.34 (the mean of 0.35 and 0.33) to 0.64.
    assert "52 %" in wording.middle_target(found[2])


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
    (board,) = report(tmp_path, target="calm=auto").boards
    # It falls from 0.9 to 0.3 at the cap.
    falls = [0.72, 0.66, 0.6, 0.54, 0.48, 0.42, 0.36]
    assert [rung.value for rung in board.context.ladder] == pytest.approx(falls)


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
