"""The leaderboard, on curves small enough to work out by hand."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from boards import board_of, context, curve, runs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fal_bench.errors import StoreError
from fal_bench.reporting import wording
from fal_bench.reporting.columns import KEYS as COLUMNS
from fal_bench.reporting.columns import columns_shown
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
    assert table.loc["mine", "p_holm"] == 1.0
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
    assert wording.questions(asked).endswith(f"reaches {words}")


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
    assert random[["saving_low", "saving_high", "p_holm"]].isna().all()
    assert (mine["saving_vs_random"], mine["p_holm"]) == pytest.approx((0.5, 2 / 8))
    assert mine["verdict"] == "n too small"


def test_saving_has_its_interval_on_the_log_scale():
    rows = runs("random", 20, 30, 25) + runs("mine", 16, 15, 20)
    mine = board(rows, context("random", "mine", seeds=3)).loc["mine"]
    logs = np.log([16 / 20, 15 / 30, 20 / 25])
    half = stats.t.ppf(0.975, 2) * logs.std(ddof=1) / math.sqrt(3)
    found = [mine[f"saving_{name}"] for name in ("vs_random", "low", "high")]
    assert found == pytest.approx([1 - math.exp(logs.mean() + one) for one in (0, half, -half)])


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


def test_rank_intervals():
    rows = runs("random", 22, 26, 36) + runs("mine", 11, 13, 18) + runs("near", 23, 25, 35)
    table = board(rows, context("random", "mine", "near", seeds=3))
    assert table["rank_low"].to_dict() == {"mine": 1, "near": 2, "random": 2}
    assert table["rank_high"].to_dict() == {"mine": 1, "near": 3, "random": 3}


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


def test_all_censored():
    rows = runs("random", None, None, None)
    for seed in range(3):
        rows += curve("close", (0.1, 0.2, 0.3, 0.45, 0.45), seed=seed)
    table = board(rows, context("random", "close", seeds=3))
    # Equal labels and none reached: the better accuracy at the cap comes first.
    assert list(table["strategy"]) == ["close", "random"]
    assert table[["labels", "reached", "rank"]].T.to_numpy().tolist() == [[40, 40], [0, 0], [1, 2]]
    close = table.loc["close"]
    assert close[["labels_low", "labels_high", "saving_vs_random", "p_holm"]].isna().all()
    assert close["verdict"] == "not comparable"


def test_strategies_that_reached_rank_before_those_that_never_did():
    rows = runs("random", None) + runs("hungry", 15, extra=100)
    table = board(rows, context("random", "hungry", accounting="strict"))
    assert list(table["strategy"]) == ["hungry", "random"]
    # 115 labels against more than 40: which was cheaper is unknown.
    assert table.loc["hungry", "verdict"] == "not comparable"


def test_a_copy_of_the_baseline_saves_nothing_and_shares_its_rank():
    budgets = (15, 22, 31, 24, 28, 19, 27)
    rows = runs("random", *budgets) + runs("copy", *budgets) + runs("late", *[38] * 7)
    table = board(rows, context("random", "late", "copy", seeds=7))
    copy = table.loc["copy", ["saving_vs_random", "p_holm", "verdict"]].tolist()
    assert copy == [0.0, 1.0, "no evidence"]
    assert table["rank"].to_dict() == {"copy": 1, "random": 1, "late": 3}


def test_verdicts_with_enough_pairs():
    base = (22, 24, 25, 26, 27, 28, 29)
    rows = runs("random", *base)
    rows += runs("good", *[n - 9 + n / 10 for n in base])
    rows += runs("bad", *[n + 9 - n / 10 for n in base])
    table = board(rows, context("random", "good", "bad", seeds=7))
    assert table["verdict"].to_dict() == {"good": "better", "random": "baseline", "bad": "worse"}
    assert table.loc[["good", "bad"], "p_holm"].tolist() == pytest.approx([2 * 2 / 128] * 2)
    # 2^(1 - 7) * 4 comparisons is above 0.05: the same pairs no longer carry a verdict.
    rows += runs("third", *base[::-1]) + runs("fourth", *base[::-1])
    more = board(rows, context("random", "good", "bad", "third", "fourth", seeds=7))
    assert more.loc["good", "verdict"] == "n too small"


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
    assert mine[["saving_vs_random", "saving_low", "saving_high", "p_holm"]].isna().all()


def test_savings_refer_to_the_baseline_of_the_context():
    rows = runs("random", 30) + runs("other", 15)
    table = board(rows, context("random", "other", baseline="other"))
    assert table.loc["other", "verdict"] == "baseline"
    assert table.loc["random", "saving_vs_random"] == pytest.approx(-1)


def test_a_reference_has_its_numbers_but_no_rank_and_no_test():
    rows = runs("random", *[30] * 6) + runs("fine", 25, 24, 26, 25, 24, 26)
    rows += runs("oracle", *[15] * 6)
    asked = context("random", "fine", "oracle", seeds=6, references=frozenset({"oracle"}))
    table = board(rows, asked)
    assert list(table["strategy"]) == ["fine", "random", "oracle"]
    assert table.loc["fine", "rank"] == 1
    oracle = table.loc["oracle"]
    assert (oracle["labels"], oracle["reached"]) == (pytest.approx(15), 6)
    assert oracle["verdict"] == "reference"
    assert oracle[["rank", "p_holm"]].isna().all()
    # It takes no part in Holm's correction.
    without = board(rows, context("random", "fine", seeds=6))
    assert table.loc["fine", "p_holm"] == without.loc["fine", "p_holm"]


def test_the_trainer_of_every_row_is_named():
    trainers = (("random", "cross-entropy"), ("feal", "evidential"))
    asked = context("random", "feal", trainers=trainers)
    table = board(runs("random", 30) + runs("feal", 20), asked)
    assert table["trainer"].to_dict() == dict(trainers)


ADJUSTED = ("rank", "rank_low", "rank_high", "strategy", "p_holm", "verdict")
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
        assert group["labels"].is_monotonic_increasing


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
