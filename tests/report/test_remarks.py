"""What is said of curves that a leaderboard's numbers do not show."""

import pandas as pd
from test_leaderboard import context, curve, runs

from fal_bench.report.answer import Board, Comparison
from fal_bench.report.budgets import read_runs
from fal_bench.report.leaderboard import build_leaderboard
from fal_bench.report.remarks import curve_remarks, dash_remarks

HIGH = (0.6, 0.6, 0.7, 0.8, 0.8)


def say(rows, asked):
    return curve_remarks(read_runs(pd.DataFrame(rows), asked), asked)


def test_ordinary_curves_need_no_remark():
    rows = runs("random", 22, 26) + runs("mine", 15, 16)
    assert say(rows, context("random", "mine", seeds=2)) == []


def test_a_target_that_initial_labels_meet():
    rows = runs("random", 22, 26, 27, 28, 29) + runs("mine", 15, 16, 17, 18)
    rows += curve("mine", HIGH, seed=4)
    (remark,) = say(rows, context("random", "mine", seeds=5))
    assert "1 of 10 runs are at or above this target before they buy a label" in remark
    assert say(rows, context("random", "mine", seeds=5, target=0.7)) == []


def test_few_runs_that_begin_at_the_target_are_no_reason():
    rows = runs("random", *[22 + seed for seed in range(10)])
    rows += runs("mine", *[12 + seed for seed in range(9)]) + curve("mine", HIGH, seed=9)
    assert say(rows, context("random", "mine", seeds=10)) == []


def test_the_tasks_whose_target_is_met_are_named():
    rows = runs("random", 22, 26, task="hard") + runs("mine", 15, 16, task="hard")
    rows += [row for seed in (0, 1) for row in curve("random", HIGH, task="easy", seed=seed)]
    rows += runs("mine", 15, 16, task="easy")
    (remark,) = say(rows, context("random", "mine", seeds=2, tasks=("easy", "hard")))
    assert "2 of 4 runs on easy are" in remark
    assert "hard" not in remark


def test_strategies_with_identical_curves_are_named():
    rows = runs("random", 22, 26) + runs("copy", 22, 26) + runs("mine", 22, 27)
    (remark,) = say(rows, context("random", "copy", "mine", seeds=2))
    assert "copy and random have identical curves in every run;" in remark
    dearer = runs("random", 22, 26) + runs("copy", 22, 26, extra=1)
    assert say(dearer, context("random", "copy", seeds=2)) == []


def test_identical_curves_on_one_task_name_the_task():
    rows = runs("random", 22, task="a") + runs("copy", 22, task="a")
    rows += runs("random", 22, task="b") + runs("copy", 23, task="b")
    (remark,) = say(rows, context("random", "copy", tasks=("a", "b")))
    assert "copy and random have identical curves in every run on a;" in remark


def test_a_strategy_that_ends_before_the_cap_has_its_dashes_explained():
    rows = runs("random", 22) + curve("thrifty", (0.4, 0.6, 0.6), labels=(10, 20, 30))
    asked = context("random", "thrifty")
    (remark,) = dash_remarks(read_runs(pd.DataFrame(rows), asked), asked)
    assert "some runs of thrifty end before the cap" in remark
    assert say(rows, asked) == []


def test_boards_carry_their_remarks_into_text():
    rows = pd.DataFrame(runs("random", 22) + runs("copy", 22))
    asked = context("random", "copy")
    board = Board(build_leaderboard(rows, asked), asked, tuple(say(rows, asked)))
    shown = Comparison((board,), rows, rows.iloc[:0])
    assert "identical curves" in str(shown)
    assert "identical curves" in shown.text("md")
