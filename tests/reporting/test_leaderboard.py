"""The leaderboard, on curves small enough to work out by hand."""

import itertools
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from boards import BASE, POINTS, board_of, context, curve, in_costs, paid, runs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fal_bench.errors import StoreError
from fal_bench.reporting import wording
from fal_bench.reporting.columns import KEYS as COLUMNS
from fal_bench.reporting.columns import columns_shown
from fal_bench.reporting.context import Rung
from fal_bench.reporting.export import write_csv
from fal_bench.results.model import MissingRun


def plain(rows, asked):
    """The leaderboard."""
    return board_of(rows, asked).leaderboard


def board(rows, asked):
    """The leaderboard, indexed by strategy."""
    return plain(rows, asked).set_index("strategy", drop=False)


def test_columns_and_types():
    table = board(runs("random", 25) + runs("mine", 15), context("random", "mine"))
    assert tuple(table.columns) == COLUMNS
    assert table["rank"].dtype == "Int64"
    assert all(table[name].dtype == "int64" for name in ("tasks", "runs", "reached"))
    assert [*table["target_acc"], *table["accounting"]] == [0.5, 0.5, "paper", "paper"]
    # No interval of one seed.
    assert table.filter(regex="labels_(low|high)|saving_(low|high)|rank_").isna().all(axis=None)
    assert table.loc["mine", "saving_vs_random"] == pytest.approx(0.4)
    none = board(pd.DataFrame(runs("random", 20)).iloc[:0], context("random", "mine"))
    assert list(none["verdict"]) == ["incomplete", "incomplete"]
    assert tuple(none.columns) == COLUMNS


def test_columns_that_people_see_are_named_after_the_question():
    asked = context("random", metric="log_loss", higher_is_better=False, baseline="{x}")
    board_, more = ({c.key: c for c in columns_shown(t, asked)} for t in ("board", "more"))
    assert list(board_)[:2] == ["rank", "strategy"]
    assert board_["saving_vs_random"].heading.endswith("{x}")
    assert "paper" in board_["labels"].short
    assert "log loss" in more["aulc"].heading
    assert not more["accuracy_final"].more_is_better
    assert columns_shown("more", context("random"))[-4].more_is_better  # accuracy
    assert more["accuracy_final"].text({"accuracy_final": 0.85, "metric": "log_loss"}) == "0.85"


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([("accuracy", 0.5), ("accuracy", 0.555)], "50 and 55.5 % accuracy"),
        ([("accuracy", 0.5), ("log_loss", 0.8)], "50 % accuracy and log loss 0.8"),
    ],
)
def test_a_question_names_its_metrics(targets, words):
    asked = [context("random", metric=metric, target=target) for metric, target in targets]
    assert wording.which_strategy(asked).endswith(f"reach {words}?")


def test_numbers_by_hand():
    rows = runs("random", 22, 26, 36) + runs("mine", 11, 13, 18)
    table = board(rows, context("random", "mine", seeds=3))
    mine, random = table.loc["mine"], table.loc["random"]
    assert (mine["rank"], random["rank"]) == (1, 2)
    assert (random["tasks"], random["runs"], random["reached"]) == (1, 3, 3)
    assert random["labels"] == pytest.approx(28)
    half = stats.t.ppf(0.975, 2) * math.sqrt(52) / math.sqrt(3)  # variance (36 + 4 + 64) / 2
    assert (random["labels_low"], random["labels_high"]) == pytest.approx((28 - half, 28 + half))
    assert random["labels_step"] == pytest.approx((30 + 30 + 40) / 3)
    assert random["labels_paper"] == random["labels_strict"] == random["labels"]
    assert random["budget_pct"] == pytest.approx(14)
    assert random["accuracy_final"] == pytest.approx(0.5 + (18 + 14 + 4) / 300)
    assert (random["saving_vs_random"], random["verdict"]) == (0.0, "baseline")
    assert random[["saving_low", "saving_high", "pairs"]].isna().all()
    assert (mine["saving_vs_random"], mine["pairs"]) == (pytest.approx(0.5), 3)
    assert mine["verdict"] == "too few seeds"


def largest_t(*samples):
    """The 95 % quantile of the largest |t| of samples of one task under all patterns of signs."""
    centred = [np.subtract(one, np.mean(one)) for one in samples]
    signs = itertools.product((1, -1), repeat=len(centred[0]))
    found = sorted(max(abs(stats.ttest_1samp(one * s, 0)[0]) for one in centred) for s in signs)
    return found[math.ceil(0.95 * (len(found) - 1))]


def interval(logs, critical):
    """The saving with its ends, from log ratios of one task."""
    half = critical * np.std(logs, ddof=1) / math.sqrt(len(logs))
    return [1 - math.exp(np.mean(logs) + one) for one in (0, half, -half)]


FIVE = (20, 30, 25, 22, 35)


def test_savings_have_intervals_on_the_log_scale_that_hold_at_once():
    crossings = {"mine": (16, 15, 20, 21, 30), "poor": (21, 33, 25, 28, 39)}
    rows = runs("random", *FIVE) + [row for one in crossings for row in runs(one, *crossings[one])]
    logs = {name: np.log(np.divide(labels, FIVE)) for name, labels in crossings.items()}
    table = board(rows, context("random", *crossings, seeds=5))
    both = largest_t(*logs.values())
    assert both >= max(largest_t(one) for one in logs.values())
    for name in crossings:
        found = table.loc[name, ["saving_vs_random", "saving_low", "saving_high"]]
        assert found.tolist() == pytest.approx(interval(logs[name], both))


def test_four_seeds_give_savings_without_intervals_or_verdicts():
    rows = runs("random", *FIVE[:4]) + runs("mine", 16, 15, 20, 21)
    mine = board(rows, context("random", "mine", seeds=4)).loc["mine"]
    ends = [f"{name}_{end}" for name in ("saving", "rank") for end in ("low", "high")]
    assert mine[ends].isna().all()
    assert mine[["tasks_won", "tasks_lost"]].isna().all()
    assert mine[["labels_low", "labels_high", "saving_vs_random"]].notna().all()
    assert mine["verdict"] == "too few seeds"


def test_two_seeds_give_numbers_without_intervals():
    rows = runs("random", 20, 30) + runs("mine", 16, 15)
    mine = board(rows, context("random", "mine", seeds=2)).loc["mine"]
    assert (mine["labels"], mine["rank"]) == (pytest.approx(15.5), 1)
    assert mine["saving_vs_random"] == pytest.approx(1 - math.sqrt(16 / 20 * 15 / 30))
    ends = [f"{name}_{end}" for name in ("labels", "saving", "rank") for end in ("low", "high")]
    assert mine[ends].isna().all()
    assert mine[["reached_low", "reached_high"]].notna().all()


def test_secondary_numbers_by_hand():
    rows = runs("random", 22, 26, None) + runs("mine", 11, 13, 18) + runs("poor", 35, None, None)
    table = board(rows, context("random", "mine", "poor", seeds=3))
    mine, random, poor = table.loc["mine"], table.loc["random"], table.loc["poor"]
    assert (random["median"], random["median_reached"]) == (pytest.approx(26), True)
    assert (poor["median"], poor["median_reached"]) == (40, False)
    assert random["ert"] == pytest.approx((22 + 26 + 40) / 2)
    assert poor["ert"] == pytest.approx((35 + 40 + 40) / 1)
    assert math.isnan(random["ert_low"])
    # Linear curves: the area is the accuracy in the middle of the grid, at 25 labels.
    assert mine["aulc"] == pytest.approx(0.5 + (25 - 14) / 100)
    pairs = ["pairs_strategy_censored", "pairs_baseline_censored", "pairs_both_censored"]
    assert mine[pairs].tolist() == [0, 1, 0]
    assert poor[pairs].tolist() == [1, 0, 1]
    assert random[pairs].isna().all()
    assert (mine["reached_low"], mine["reached_high"]) == pytest.approx((0.4385, 1), abs=1e-4)


def test_ranks_are_ranges_where_the_runs_do_not_tell_strategies_apart():
    near = (23, 25, 24, 27, 26, 29, 28)
    rows = runs("random", *BASE) + runs("mine", *[n / 2 for n in near]) + runs("near", *near)
    table = board(rows, context("random", "mine", "near", seeds=7))
    assert table["rank_low"].to_dict() == {"mine": 1, "near": 2, "random": 2}
    assert table["rank_high"].to_dict() == {"mine": 1, "near": 3, "random": 3}
    # Ranks follow the mean of log labels: labels that double and halve cost as much as they save.
    rows = runs("random", *[20] * 5) + runs("both", 10, 40 - 1e-6, 20, 20, 20)
    table = board(rows, context("random", "both", seeds=5))
    assert table["labels"].to_dict() == pytest.approx({"both": 22, "random": 20})
    assert list(table["strategy"]) == ["both", "random"]
    assert list(zip(table["rank_low"], table["rank_high"], strict=True)) == [(1, 2), (1, 2)]


def test_tasks_weigh_the_same_and_pools_are_their_own():
    rows = runs("random", 20, task="a") + runs("random", 30, task="b")
    table = board(rows, context("random", tasks=("b", "a"), pools={"a": 100, "b": 200}))
    row = table.loc["random"]
    assert (row["labels"], row["budget_pct"]) == pytest.approx((25, (20 + 15) / 2))
    assert row["tasks"] == 2


def test_both_accountings_stand_side_by_side():
    rows = runs("random", 35) + runs("hungry", 15, extra=100)
    paper = board(rows, context("random", "hungry"))
    strict = board(rows, context("random", "hungry", accounting="strict"))
    for table in (paper, strict):
        both = table.loc["hungry", ["labels_paper", "labels_strict"]]
        assert both.tolist() == pytest.approx([15, 115])
    assert list(paper["strategy"]) == ["hungry", "random"]
    assert list(strict["strategy"]) == ["random", "hungry"]
    assert paper.loc["hungry", "labels"] == pytest.approx(15)
    found = strict.loc["hungry", ["labels", "labels_step", "saving_vs_random", "budget_pct"]]
    assert found.tolist() == pytest.approx([115, 120, 1 - 115 / 35, 7.5])


@pytest.mark.parametrize("price", [0.1, 1, 10])
def test_a_board_of_costs_is_the_board_of_strict_labels_times_their_price(price):
    rows = runs("random", 22, 26, 24, 31, None) + runs("mine", 15, 17, 21, 18, 30, extra=7)
    asked = context("random", "mine", seeds=5, accounting="strict")
    labels, costs = board(rows, asked), board(paid(rows, price), in_costs(asked))
    for name in ("labels", "labels_low", "labels_high", "labels_step", "median", "ert"):
        assert costs[name].tolist() == pytest.approx((price * labels[name]).tolist()), name
    for name in ("saving_vs_random", "saving_low", "saving_high", "labels_strict", "labels_paper"):
        assert costs[name].tolist() == pytest.approx(labels[name].tolist(), nan_ok=True), name
    assert costs["verdict"].tolist() == labels["verdict"].tolist()


def test_an_interval_ends_where_no_budget_can_be():
    # The t interval of 11, 12 and 39 labels begins below 0.
    rows = runs("random", 11, 12, 39)
    assert board(rows, context("random", seeds=3)).loc["random", "labels_low"] == 10
    asked = in_costs(context("random", seeds=3))
    assert board(paid(rows, 0.1), asked).loc["random", "labels_low"] == 0


def test_all_censored():
    rows = runs("random", None, None, None)
    for seed in range(3):
        rows += curve("close", (0.1, 0.2, 0.3, 0.45, 0.45), seed=seed)
    table = board(rows, context("random", "close", seeds=3))
    # Equal labels and none reached: the better accuracy at the cap comes first.
    assert list(table["strategy"]) == ["close", "random"]
    assert table[["labels", "reached", "rank"]].T.to_numpy().tolist() == [[40, 40], [0, 0], [1, 2]]
    close = table.loc["close"]
    ends = ["labels_low", "labels_high", "saving_vs_random", "saving_low", "saving_high"]
    assert close[ends].isna().all()
    assert close["verdict"] == "not comparable"


def test_strategies_that_reached_rank_before_those_that_never_did():
    rows = runs("random", *[None] * 5) + runs("hungry", *[15] * 5, extra=100)
    table = board(rows, context("random", "hungry", accounting="strict", seeds=5))
    assert list(table["strategy"]) == ["hungry", "random"]
    # 115 labels against more than 40: the loss may be smaller than it looks, or a saving.
    hungry = table.loc["hungry"]
    assert hungry["saving_vs_random"] == pytest.approx(1 - 115 / 40)
    assert (hungry["verdict"], math.isnan(hungry["saving_high"])) == ("no evidence", True)
    assert table.loc["random", "rank_high"] == 2


def test_a_copy_of_the_baseline_saves_nothing_and_shares_its_rank():
    budgets = (15, 22, 31, 24, 28, 19, 27)
    rows = runs("random", *budgets) + runs("copy", *budgets) + runs("late", *[38] * 7)
    table = board(rows, context("random", "late", "copy", seeds=7))
    copy = table.loc["copy", ["saving_vs_random", "verdict", "tasks_won", "tasks_lost"]].tolist()
    assert copy == [0.0, "equal", 0, 0]
    assert table["rank"].to_dict() == {"copy": 1, "random": 1, "late": 3}


def test_savings_that_do_not_vary_are_judged_as_they_are():
    rows = runs("random", *BASE) + runs("always", *[n / 2 for n in BASE])
    rows += runs("costly", *[n * 1.25 for n in BASE]) + runs("near", *[n * 0.97 for n in BASE])
    table = board(rows, context("random", "always", "costly", "near", seeds=7))
    savings = table["saving_vs_random"].to_dict()
    assert savings == pytest.approx({"always": 0.5, "near": 0.03, "random": 0, "costly": -0.25})
    assert table["rank_high"].tolist() == table["rank"].tolist() == [1, 2, 3, 4]
    verdicts = {"always": "better", "near": "better", "random": "baseline", "costly": "worse"}
    assert table["verdict"].to_dict() == verdicts


def test_savings_of_two_sizes_have_an_interval():
    # Deviations are a and -a: |t| is infinite for two of 64 patterns, and 2 for the next twelve.
    rows = runs("random", 20, 20, 20, 30, 30, 30) + runs("mine", *[20] * 6)
    mine = board(rows, context("random", "mine", seeds=6)).loc["mine"]
    logs = [0, 0, 0, *[math.log(20 / 30)] * 3]
    found = mine[["saving_vs_random", "saving_low", "saving_high"]].tolist()
    assert found == pytest.approx(interval(logs, 2))


def test_verdicts_follow_the_intervals():
    rows = runs("random", *BASE)
    rows += runs("good", *[n - 9 + n / 10 for n in BASE])
    rows += runs("bad", *[n + 9 - n / 10 for n in BASE])
    rows += runs("same", *[n + (-1) ** n / 4 for n in BASE])
    rows += runs("turned", *BASE[::-1])
    table = board(rows, context("random", "good", "bad", "same", "turned", seeds=7))
    assert table["verdict"].to_dict() == {
        "good": "better", "same": "equal", "random": "baseline", "turned": "no evidence",
        "bad": "worse",
    }  # fmt: skip
    ends = table[["saving_low", "saving_high"]].T.to_dict("list")
    assert ends["good"][0] > 0 > ends["bad"][1]
    assert -0.05 < ends["same"][0] < 0 < ends["same"][1] < 0.05
    assert ends["turned"][0] < -0.05 < 0.05 < ends["turned"][1]
    assert table.loc[["good", "bad"], "tasks_won"].tolist() == [1, 0]
    assert table.loc[["good", "bad"], "tasks_lost"].tolist() == [0, 1]


TEN = tuple(20 + place for place in range(10))
FASTER = tuple(0.7 * n + n % 3 / 10 for n in TEN)


@pytest.mark.parametrize(
    ("random", "mine", "low", "high", "verdict"),
    [
        # One pair in ten may be censored, two leave an end open: what the cap hides is unknown.
        ((None, *TEN[1:]), FASTER, True, True, "better"),
        ((None, None, *TEN[2:]), FASTER, True, False, "better"),
        (TEN, (None, None, *FASTER[2:]), False, True, "no evidence"),
        (TEN, [None] * 10, False, True, "worse"),
        ([None] * 10, TEN, True, False, "better"),
        ((None, None, *TEN[2:]), (None, None, *FASTER[2:]), None, None, "not comparable"),
        ((None, *TEN[1:]), (None, *FASTER[1:]), True, True, "better"),
    ],
)
def test_an_interval_is_open_to_the_side_that_censored_pairs_hide(random, mine, low, high, verdict):
    rows = runs("random", *random) + runs("mine", *mine)
    row = board(rows, context("random", "mine", seeds=10)).loc["mine"]
    assert row["verdict"] == verdict
    assert math.isnan(row["saving_vs_random"]) == (low is None)
    assert (math.isnan(row["saving_low"]), math.isnan(row["saving_high"])) == (not low, not high)


@pytest.mark.parametrize(
    ("random", "mine", "side"),
    [
        (TEN, FASTER, 1),
        (FASTER, TEN, -1),
        # The cap hides how much mine saves, but not that it saves; and the other way round.
        ([None] * 10, TEN, 1),
        (TEN, [None] * 10, -1),
        ((None, None, *TEN[2:]), (None, None, *FASTER[2:]), 0),
    ],
)
def test_tasks_are_won_and_lost_by_the_rule_of_verdicts(random, mine, side):
    rows = [*runs("random", *random), *runs("mine", *mine)]
    # On the second task mine is the faster one, with every run.
    rows += [*runs("random", *TEN, task="b"), *runs("mine", *FASTER, task="b")]
    row = board(rows, context("random", "mine", seeds=10, tasks=("a", "b"))).loc["mine"]
    assert (row["tasks_won"], row["tasks_lost"]) == (1 + (side > 0), int(side < 0))


@pytest.mark.parametrize("baseline", ["random", "never"])
def test_what_never_reached_wins_no_task_and_loses_none(baseline):
    # Up to 40 labels and more of one that never reached, against about 85 of one that did.
    rows = []
    for task in ("a", "b"):
        rows += runs("random", *TEN, task=task, extra=60) + runs("never", *[None] * 10, task=task)
    asked = context("random", "never", seeds=10, tasks=("a", "b"), accounting="strict")
    table = board(rows, replace(asked, baseline=baseline))
    (row,) = (row for name, row in table.iterrows() if name != baseline)
    assert row["verdict"] == "no evidence"
    assert (row["tasks_won"], row["tasks_lost"]) == (0, 0)


def test_six_tasks_say_what_to_expect_of_others():
    shares = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    rows = []
    for task, share in zip("abcdef", shares, strict=True):
        rows += runs("random", *TEN[:5], task=task)
        rows += runs("mine", *[share * n for n in TEN[:5]], task=task)
    logs = np.log(shares)
    half = stats.t.ppf(0.975, 5) * logs.std(ddof=1) / math.sqrt(6)
    mine = board(rows, context("random", "mine", seeds=5, tasks=tuple("abcdef"))).loc["mine"]
    found = mine[["saving_across_low", "saving_across_high"]].tolist()
    assert found == pytest.approx([1 - math.exp(logs.mean() + one) for one in (half, -half)])
    five = board(rows, context("random", "mine", seeds=5, tasks=tuple("abcde"))).loc["mine"]
    assert five[["saving_across_low", "saving_across_high"]].isna().all()


def test_savings_over_a_ladder_are_averaged_in_logs():
    # A straight line rises by 0.01 a label: a target of 0.4 is met ten labels before 0.5.
    rows = runs("random", 30, 32, 34, 36, 38) + runs("mine", 25, 24, 30, 29, 31)
    rungs = (Rung(0.4), Rung(0.5))
    pairs = [(25, 30), (24, 32), (30, 34), (29, 36), (31, 38)]
    logs = [(math.log(m / r) + math.log((m - 10) / (r - 10))) / 2 for m, r in pairs]
    wide = board(rows, context("random", "mine", seeds=5, ladder=rungs)).loc["mine"]
    names = ["saving_vs_random", "saving_low", "saving_high"]
    assert wide[names].tolist() == pytest.approx(interval(logs, largest_t(logs)))
    # Labels are those to the target of the question, the middle of the ladder.
    assert (wide["labels"], wide["pairs"]) == (pytest.approx(139 / 5), 10)
    beside = board(rows, context("random", "mine", seeds=5, wider=rungs)).loc["mine"]
    names = ["saving_ladder", "saving_ladder_low", "saving_ladder_high"]
    assert beside[names].tolist() == pytest.approx(interval(logs, largest_t(logs)))
    single = np.log([m / r for m, r in pairs])
    assert beside["saving_vs_random"] == pytest.approx(1 - math.exp(single.mean()))


def test_an_adaptive_run_that_stopped_short_is_censored_at_the_cap():
    rows = runs("random", 25)
    rows += curve("thrifty", (0.2, 0.9, 0.9), labels=(10, 12, 14), extra=7)
    row = board(rows, context("random", "thrifty")).loc["thrifty"]
    assert (row["reached"], row["labels"], row["labels_strict"]) == (0, 40, 47)
    assert math.isnan(row["accuracy_final"])


@pytest.mark.parametrize(
    ("rows", "ranks"),
    [
        # An accuracy that is unknown at the cap ranks below a known one.
        (runs("random", None) + curve("x", (0.2, 0.4), labels=(10, 12)), {"random": 1, "x": 2}),
        # Accuracy at the cap plays no part among strategies that reached.
        (runs("random", 25) + curve("x", (0.35, 0.45, 0.55, 0.9, 0.9)), {"random": 1, "x": 1}),
    ],
)
def test_accuracy_at_the_cap_orders_those_that_never_reached(rows, ranks):
    assert board(rows, context("x", "random"))["rank"].to_dict() == ranks


def test_strict_labels_are_those_read_up_to_the_crossing():
    rows = runs("random", 25)
    for row, extra in zip(rows, (0, 40, 60, 100, 100), strict=True):
        row["labels_strict"] += extra
    row = board(rows, context("random", accounting="strict")).loc["random"]
    # Halfway between the grid points 20 (60 strict labels) and 30 (90 strict labels).
    assert (row["labels"], row["labels_step"]) == pytest.approx((75, 90))


def test_the_confirming_point_beyond_the_cap_confirms_only():
    rows = curve("held", (0.1, 0.2, 0.3, 0.6, 0.6)) + curve("lost", (0.1, 0.2, 0.3, 0.6, 0.4))
    rows += curve("late", (0.1, 0.2, 0.3, 0.4, 0.9)) + runs("random", 25)
    table = board(rows, context("held", "lost", "late", "random"))
    assert table["reached"].to_dict() == {"random": 1, "held": 1, "lost": 0, "late": 0}


def test_incomplete_strategies_come_last_without_a_rank():
    rows = runs("random", 20, 30, task="a") + runs("random", 20, 30, task="b")
    rows += runs("half", 11, 12, task="a") + runs("half", 11, task="b")
    asked = context("half", "absent", "random", seeds=2, tasks=("a", "b"))
    table = board(rows, asked)
    assert list(table["strategy"]) == ["random", "absent", "half"]
    assert table["rank"].isna().to_list() == [False, True, True]
    half = table.loc["half", ["tasks", "runs", "reached", "verdict"]].tolist()
    assert half == [1, 3, 3, "incomplete"]
    assert table.loc["absent", "runs"] == 0
    assert table.loc[["absent", "half"], ["labels", "saving_vs_random"]].isna().all(axis=None)


def test_rows_of_a_missing_run_are_not_a_finished_run():
    missing = [MissingRun("a", "random", 1, "interrupted")]
    row = board(runs("random", 20, 30), context("random", seeds=2, missing=missing)).loc["random"]
    assert (row["runs"], row["verdict"]) == (1, "incomplete")


@pytest.mark.parametrize("rows", [runs("mine", 20, 30), runs("mine", 20, 30) + runs("random", 20)])
@pytest.mark.parametrize("strategies", [("mine",), ("mine", "random")])
def test_without_a_complete_baseline_nothing_is_comparable(rows, strategies):
    mine = board(rows, context(*strategies, seeds=2)).loc["mine"]
    assert (mine["rank"], mine["verdict"]) == (1, "not comparable")
    assert mine["labels"] == pytest.approx(25)
    assert mine[["saving_vs_random", "saving_low", "saving_high", "pairs"]].isna().all()


def test_savings_refer_to_the_baseline_of_the_context():
    rows = runs("random", 30) + runs("other", 15)
    table = board(rows, context("random", "other", baseline="other"))
    assert table.loc["other", "verdict"] == "baseline"
    assert table.loc["random", "saving_vs_random"] == pytest.approx(-1)


def test_a_reference_has_its_numbers_but_no_rank_and_no_verdict():
    rows = runs("random", *[30] * 6) + runs("fine", 25, 24, 26, 25, 23, 26)
    rows += runs("oracle", 15, 20, 10, 15, 20, 10)
    asked = context("random", "fine", "oracle", seeds=6, references=frozenset({"oracle"}))
    table = board(rows, asked)
    assert list(table["strategy"]) == ["fine", "random", "oracle"]
    assert table.loc["fine", "rank"] == 1
    oracle = table.loc["oracle"]
    assert (oracle["labels"], oracle["reached"]) == (pytest.approx(15), 6)
    assert oracle["verdict"] == "reference"
    assert oracle[["rank", "rank_low", "rank_high"]].isna().all()
    # It makes the intervals of competitors no wider.
    without = board(rows, context("random", "fine", seeds=6))
    ends = ["saving_low", "saving_high"]
    assert table.loc["fine", ends].tolist() == without.loc["fine", ends].tolist()


def test_the_trainer_of_every_row_is_named():
    trainers = (("random", "cross-entropy"), ("feal", "evidential"))
    asked = context("random", "feal", trainers=trainers)
    table = board(runs("random", 30) + runs("feal", 20), asked)
    assert table["trainer"].to_dict() == dict(trainers)


ADJUSTED = (
    "rank", "rank_low", "rank_high", "strategy", "saving_low", "saving_high", "verdict",
)  # fmt: skip
UNADJUSTED = [name for name in COLUMNS if name not in ADJUSTED]
budget = st.one_of(st.none(), st.floats(10.5, 39.5))
tables = st.lists(st.lists(budget, min_size=4, max_size=4), min_size=2, max_size=4)


def rows_of(table):
    return [
        row
        for number, budgets in enumerate(table)
        for task in ("a", "b")
        for row in runs(
            "random" if number == 0 else f"s{number}",
            *(budgets[:2] if task == "a" else budgets[2:]),
            task=task,
            extra=5 * number,
        )
    ]


@settings(max_examples=30)
@given(table=tables, accounting=st.sampled_from(["paper", "strict"]), seed=st.integers(0, 99))
def test_order_and_company_do_not_matter(table, accounting, seed):
    names = ["random", *(f"s{number}" for number in range(1, len(table)))]
    settings_ = {"seeds": 2, "tasks": ("a", "b"), "accounting": accounting}
    rows = pd.DataFrame(rows_of(table))
    full = plain(rows, context(*names, **settings_))

    turned = {**settings_, "tasks": ("b", "a")}
    shuffled = rows.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(
        full, plain(shuffled, context(*names[::-1], **turned)), check_exact=True
    )

    fewer = plain(rows, context(*names[:-1], **settings_)).set_index("strategy")
    pd.testing.assert_frame_equal(
        full.set_index("strategy").loc[fewer.index, UNADJUSTED],
        fewer[UNADJUSTED],
        check_exact=True,
    )

    assert (full["labels_paper"] <= 40 * (1 + 1e-12)).all()
    assert (full["labels_strict"] >= full["labels_paper"]).all()
    assert (full["labels_step"] >= full["labels"] * (1 - 1e-12)).all()
    assert full["rank"].is_monotonic_increasing
    for _, group in full.groupby(full["reached"] == 0):
        # A saving is that of mean log labels, by which strategies are ranked.
        savings = group["saving_vs_random"].dropna().iloc[::-1]
        assert (savings.diff().dropna() >= -1e-9).all()
    low, high = full["rank_low"].dropna(), full["rank_high"].dropna()
    assert (low <= full["rank"][low.index]).all()
    assert (high >= full["rank"][high.index]).all()


EXCLUDES = {"better": lambda low, _: low > 0, "worse": lambda _, high: high < 0}
many = st.lists(
    st.lists(st.one_of(st.none(), st.floats(10.5, 39.5)), min_size=5, max_size=6).filter(any),
    min_size=2,
    max_size=4,
)


@settings(max_examples=40)
@given(table=many, twin=st.floats(0.9, 1.1))
def test_verdicts_and_intervals_never_contradict_each_other(table, twin):
    seeds = min(map(len, table))
    rows = [
        row
        for number, budgets in enumerate(table)
        for row in runs(f"s{number}" if number else "random", *budgets[:seeds])
    ]
    # One that is close to the baseline, so that some are equal.
    rows += runs("near", *[n and min(twin * n + n % 1, 39.9) for n in table[0][:seeds]])
    names = ["random", *(f"s{number}" for number in range(1, len(table))), "near"]
    for _, row in board(rows, context(*names, seeds=seeds)).iterrows():
        low, high, verdict = row["saving_low"], row["saving_high"], row["verdict"]
        if verdict in ("baseline", "not comparable"):
            assert math.isnan(low)
            assert math.isnan(high)
            continue
        assert not low > row["saving_vs_random"]
        assert not high < row["saving_vs_random"]
        if math.isnan(low) and math.isnan(high):
            continue  # pairs that do not vary
        for name, excludes in EXCLUDES.items():
            assert (verdict == name) == excludes(low, high)
        inside = low >= -0.05 and high <= 0.05 and low <= 0 <= high
        assert (verdict == "equal") == inside


# Any portions along one line from accuracy to labels: what is measured is labels, not looks.


@pytest.mark.parametrize(
    "bought",
    [(10, 13, 27, 28, 39, 50), (10, 19, 22, 37, 41, 50), (10, 11, 12, 34, 40, 46, 52), POINTS],
)
@pytest.mark.parametrize("target", [0.42, 0.5, 0.55])
def test_uneven_portions_along_the_same_line_save_nothing(bought, target):
    rows = runs("random", *[25 + seed / 3 for seed in range(5)])
    for seed in range(5):
        line = [0.5 + (labels - 25 - seed / 3) / 100 for labels in bought]
        rows += curve("uneven", line, seed=seed, labels=bought)
    table = board(rows, context("random", "uneven", seeds=5, target=target))
    uneven = table.loc["uneven"]
    assert uneven["saving_vs_random"] == pytest.approx(0, abs=1e-9)
    assert (uneven["verdict"], uneven["reached"]) == ("equal", 5)
    assert table["rank"].tolist() == [1, 1]


def test_a_model_that_two_looks_read_does_not_confirm_itself():
    # The model of 22 labels is read at 30 and 40; the next one that is read has 50.
    lone = curve("lone", (0.3, 0.4, 0.6, 0.6, 0.4), labels=(10, 20, 22, 41, 50))
    kept = curve("kept", (0.3, 0.4, 0.6, 0.4, 0.6), labels=(10, 20, 22, 41, 50))
    table = board(lone + kept, context("lone", "kept"))
    assert table["reached"].to_dict() == {"kept": 1, "lone": 0}
    # Half way between the models of 20 and of 22 labels.
    assert table.loc["kept", "labels"] == pytest.approx(21)


def test_malformed_curves_are_refused():
    rows = runs("random", 20)
    with pytest.raises(ValueError, match="cycle twice"):
        board(rows + rows[:1], context("random"))
    with pytest.raises(ValueError, match="strict labels"):
        board(runs("random", 20, extra=-1), context("random"))
    with pytest.raises(ValueError, match="one task"):
        board(rows, context("random", tasks=()))


def test_csv_reads_back_to_the_same_numbers(tmp_path):
    table = plain(
        pd.DataFrame(runs("random", 21.3, 26.1, 35.7) + runs("mine", 11, None, 18)),
        context("random", "mine", "absent", seeds=3),
    )
    path = tmp_path / "leaderboard.csv"
    write_csv(table, path)
    read = pd.read_csv(path, dtype=str).set_index("strategy")
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    for _, row in table.iterrows():
        for name in UNADJUSTED:
            text, value = read.loc[row["strategy"], name], row[name]
            if isinstance(value, str | bool):
                assert text == str(value)
            else:
                assert pd.isna(text) if pd.isna(value) else float(text) == value
    assert read["rank"].isna().to_list() == table["rank"].isna().to_list()
    first = path.read_bytes()
    write_csv(table, path)
    assert path.read_bytes() == first
    assert os.listdir(tmp_path) == ["leaderboard.csv"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write_csv(pd.DataFrame({"x": [1]}), path)

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(StoreError, match="No space left"):
        write_csv(pd.DataFrame({"x": [2]}), path)
    assert path.read_text() == "x\n1\n"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_folder_that_does_not_exist_is_a_plain_error():
    with pytest.raises(StoreError, match="Cannot write"):
        write_csv(pd.DataFrame({"x": [1]}), Path("/nonexistent/table.csv"))
