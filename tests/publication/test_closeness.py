"""Published curves and charges: read back, compared with others, and close enough to them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import TINY, flat, row, spec, store_run

from fal_bench.errors import PublicationError
from fal_bench.publication.closeness import (
    FIRST,
    MEAN,
    POINT,
    PublishedRun,
    charges_difference,
    compare_curves,
    curve_of,
    judge_closeness,
    refuse_drift,
)
from fal_bench.reporting.export import write_csv
from fal_bench.results.accounts import imbalance
from fal_bench.results.store import Store
from fal_bench.results.stored import read_planned
from fal_bench.results.tables import read_published_charges, read_published_curves

RUN = PublishedRun(spec("random"), "random")


@pytest.fixture
def curve(tmp_path):
    store_run(tmp_path, RUN.spec)
    return read_planned([RUN.spec], Store(tmp_path)).shown_curves()


def changed(curve, column, cycle, value):
    other = curve.copy()
    other.loc[cycle, column] = value
    return other


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.floats(0, 1),
            st.floats(0, 1e300),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_table_reads_back_to_the_same_bits(tmp_path_factory, measured):
    root = tmp_path_factory.mktemp("curves")
    rows = [
        {
            **flat(row(TINY, cycle, accuracy)), "precision": precision, "loss": loss,
            "task": "NA", "strategy": "nan", "seed": 3, "task_hash": "1e5", "reference": False,
        }
        for cycle, (accuracy, precision, loss) in enumerate(measured)
    ]  # fmt: skip
    written = pd.DataFrame(rows)[
        ["task", "strategy", "seed", *flat(row(TINY, 0, 0.5)), "task_hash", "reference"]
    ]
    write_csv(written, root / "curves.csv")
    again = read_published_curves(root / "curves.csv")
    pd.testing.assert_frame_equal(again, written, check_exact=True, check_dtype=False)
    for name in ("accuracy", "precision", "loss"):
        assert again[name].to_numpy().tobytes() == written[name].to_numpy(float).tobytes()


def test_equal_curves_are_the_same_whatever_their_timings(curve):
    slow = curve.assign(train_seconds=99.0, select_seconds=99.0)
    outcome = compare_curves(RUN, curve, slow, 0.0)
    assert (outcome.state, outcome.cycles, outcome.note) == ("same", len(curve), "")


def test_one_bit_is_a_difference_without_tolerance(curve):
    accuracy = curve.accuracy[3]
    other = changed(curve, "accuracy", 3, np.nextafter(accuracy, 1))
    outcome = compare_curves(RUN, other, curve, 0.0)
    assert outcome.state == "differs"
    assert outcome.note.startswith(f"cycle 3: accuracy {np.nextafter(accuracy, 1)} ")
    assert f" {accuracy} recomputed" in outcome.note
    assert compare_curves(RUN, other, curve, 1e-9).state == "close"


@pytest.mark.parametrize("column", ["accuracy", "precision", "loss"])
def test_measurements_may_differ_within_the_tolerance(curve, column):
    other = changed(curve, column, 2, curve[column][2] + 0.01)
    assert compare_curves(RUN, other, curve, 0.011).state == "close"
    outcome = compare_curves(RUN, other, curve, 0.009)
    assert outcome.state == "differs"
    assert outcome.note.startswith(f"cycle 2: {column} ")
    assert "accuracy" in outcome.note


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("cycle", 7),
        ("labels", 999),
        ("labels_strict", 999),
        ("labels_by_client", "1 2"),
        ("labels_strict_by_client", "1 2"),
        ("bytes_up", 1),
        ("task_hash", "0"),
        ("reference", True),
    ],
)
def test_everything_else_must_be_the_same_whatever_the_tolerance(curve, column, value):
    outcome = compare_curves(RUN, changed(curve, column, 1, value), curve, 10.0)
    assert outcome.state == "differs"
    assert column in outcome.note


def test_a_shorter_or_absent_curve_differs(curve):
    outcome = compare_curves(RUN, curve[:-2], curve, 0.0)
    assert outcome.note.startswith(f"cycle {len(curve) - 2}: 3 cycles published, 5 ")
    assert compare_curves(RUN, curve, curve[:-2], 0.0).state == "differs"
    assert compare_curves(RUN, curve[:0], curve, 0.0).state == "differs"


def test_the_largest_difference_is_named(curve):
    other = changed(changed(curve, "accuracy", 1, 0.25), "accuracy", 4, 0.9)
    assert compare_curves(RUN, other, curve, 1.0).accuracy_gap == pytest.approx(0.4)


def test_only_the_rows_of_the_run_are_compared(curve):
    others = pd.concat([curve.assign(seed=1), curve, curve.assign(strategy="logo")])
    pd.testing.assert_frame_equal(curve_of(RUN, others), curve)


@pytest.mark.parametrize("read", [read_published_curves, read_published_charges])
@pytest.mark.parametrize(
    ("text", "message"),
    [("task,strategy\na,b\n", "columns"), ("", "Cannot read"), ('a,b\n"x\n', "Cannot read")],
)
def test_what_is_no_table_is_refused(tmp_path, read, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(PublicationError, match=message):
        read(tmp_path / "table.csv")


def test_text_among_numbers_is_refused(tmp_path, curve):
    write_csv(curve, tmp_path / "curves.csv")
    text = (tmp_path / "curves.csv").read_text()
    (tmp_path / "curves.csv").write_text(text.replace(",1.0,", ",one,", 1))
    with pytest.raises(PublicationError, match=r"column .loss. .*one"):
        read_published_curves(tmp_path / "curves.csv")


# On another processor or with other versions.

CYCLES = len(TINY.label_grid)
SLOPE = np.linspace(0.2, 0.7, CYCLES)
SHARES = {"accuracy", "precision"}


def curve_along(accuracy, seed=0, strategy="random", loss=4.0):
    rows = [
        {
            **flat(row(TINY, cycle, float(value))), "task": TINY.name, "strategy": strategy,
            "seed": seed, "task_hash": TINY.hash, "reference": False, "loss": loss,
        }
        for cycle, value in enumerate(accuracy)
    ]  # fmt: skip
    return pd.DataFrame(rows)


PUBLISHED = curve_along(SLOPE)


def judged(computed, published=PUBLISHED):
    return judge_closeness(RUN, computed, published, SHARES)


@pytest.mark.parametrize("metric", ["accuracy", "precision", "loss"])
@pytest.mark.parametrize(("part", "state"), [(0.0, "close"), (0.9, "close"), (1.1, "differs")])
def test_every_metric_may_differ_by_fixed_numbers(metric, part, state):
    """Metrics that are no shares as parts of the largest value that was recomputed."""
    scale = 4.0 if metric == "loss" else 1.0
    off = part * POINT * scale
    point = changed(PUBLISHED, metric, 2, PUBLISHED[metric][2] - off)
    point = changed(point, metric, 3, PUBLISHED[metric][3] + off)  # the mean stays
    outcome = judged(PUBLISHED, published=point)
    assert outcome.state == state
    start = changed(PUBLISHED, metric, 0, PUBLISHED[metric][0] - part * FIRST * scale)
    assert judged(start).state == state
    assert part < 1 or metric in judged(start).note


@pytest.mark.parametrize("metric", ["accuracy", "precision", "loss"])
def test_a_curve_that_is_better_throughout_differs(metric):
    step = 1.2 * MEAN * (4.0 if metric == "loss" else 1.0)
    better = PUBLISHED.assign(**{metric: PUBLISHED[metric] + step * (PUBLISHED["cycle"] > 0)})
    outcome = judged(PUBLISHED, published=better.assign(**{metric: better[metric] + step / 10}))
    assert outcome.state == "differs"
    assert metric in outcome.note


def test_what_a_publisher_claims_of_other_runs_changes_nothing():
    """Seeds that are far apart once let any curve through."""
    wild = pd.concat([PUBLISHED, curve_along(1 - SLOPE, seed=1)])
    off = curve_along(SLOPE + 0.25)
    outcomes = [judged(off, curve_of(RUN, one)) for one in (PUBLISHED, wild)]
    assert [one.state for one in outcomes] == ["differs", "differs"]
    assert outcomes[0].note == outcomes[1].note


def test_a_metric_that_has_no_value_here_is_no_match():
    more = PUBLISHED.assign(glory=0.9)
    assert "glory" in judged(PUBLISHED, more).note
    assert "glory" in compare_curves(RUN, more, PUBLISHED, 0.0).note
    assert compare_curves(RUN, more.assign(glory=np.nan), PUBLISHED, 0.0).state == "same"
    endless = PUBLISHED.assign(loss=np.inf)
    assert compare_curves(RUN, endless, endless, 0.0).state == "same"


def test_a_value_on_one_side_alone_is_no_rounding():
    assert judged(changed(PUBLISHED, "loss", 2, np.nan)).state == "differs"
    both = changed(PUBLISHED, "loss", 2, np.nan)
    assert judged(both, both).state == "close"
    assert judged(changed(PUBLISHED, "loss", 2, np.inf)).state == "differs"


def test_it_says_up_to_where_both_are_one_run():
    moved = SLOPE.copy()
    moved[2:] += 0.02
    assert judged(curve_along(moved)).note.endswith(f" up to {TINY.label_grid[1]} labels")
    assert "up to" not in judged(curve_along(SLOPE)).note


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("labels", 12),
        ("labels_strict", 60),
        ("labels_by_client", "1 2"),
        ("task_hash", "0"),
        ("reference", True),
        ("bytes_up", 1100),
        ("bytes_down", 2100),
    ],
)
def test_what_rounding_cannot_change_is_the_same(column, value):
    outcome = judged(changed(PUBLISHED, column, 0, value))
    assert outcome.state == "differs"
    assert column in outcome.note


def test_strict_labels_may_differ_a_little_where_more_is_read_than_bought():
    last = CYCLES - 1
    computed = changed(PUBLISHED, "labels_strict", last, PUBLISHED["labels_strict"][last] + 3)
    assert judged(computed).state == "close"
    plain = PUBLISHED.assign(labels_strict=PUBLISHED["labels"])
    assert judged(changed(plain, "labels_strict", last, 41), plain).state == "differs"


def test_only_a_strategy_that_spends_otherwise_may_end_elsewhere():
    assert judged(PUBLISHED[:-1]).state == "differs"
    sparing = PUBLISHED.assign(labels=[10, 14, 24, 30, 36, 37, 38][:CYCLES])
    assert judged(sparing, sparing[:-1]).state == "close"
    assert judged(sparing, sparing[:2]).state == "differs"


def test_runs_that_all_err_to_one_side_differ_together():
    step = 0.8 * MEAN * (np.arange(CYCLES) > 0)
    runs = [PublishedRun(spec("random", seed), "random") for seed in range(4)]

    def outcomes(signs):
        return [
            judge_closeness(run, PUBLISHED, curve_along(SLOPE + sign * step, run.spec.seed), SHARES)
            for run, sign in zip(runs, signs, strict=True)
        ]

    assert {one.state for one in refuse_drift(outcomes([1, -1, 1, -1]))} == {"close"}
    assert {one.state for one in outcomes([1, 1, 1, 1])} == {"close"}
    forged = refuse_drift(outcomes([1, 1, 1, 1]))
    assert {one.state for one in forged} == {"differs"}
    assert "accuracy over 4 runs" in forged[0].note


@pytest.mark.parametrize("order", [1, -1])
def test_a_metric_without_values_on_some_tasks_is_judged_on_the_others(order):
    one, two, three = (
        judge_closeness(PublishedRun(spec("random", seed), "random"), PUBLISHED, PUBLISHED, SHARES)
        for seed in range(3)
    )
    without = {name: 0.0 for name in one.drifts if name != "precision"}
    raised = [replace(run, drifts={**run.drifts, "precision": 0.8 * MEAN}) for run in (two, three)]
    outcomes = [replace(one, state="close", drifts=without), *raised][::order]
    found = {judged.note for judged in refuse_drift(outcomes)}
    assert found == {f"precision over 2 runs of the strategy is +0.04 from what is "
                     f"recomputed, allowed {MEAN / 2**0.5:.2g}"}  # fmt: skip


# Charges.

CHARGES = pd.DataFrame(
    [
        ("a", "NA", 0, "initial", 0, 10),
        ("a", "NA", 0, "agent-training", 0, 30),
        ("a", "NA", 0, "pool", 0, 5),
        ("a", "NA", 0, "reward", 1, 2),
        ("a", "NA", 0, "pool", 1, 5),
        ("a", "NA", 0, "reward", 2, 7),  # after the last model
        ("a", "other", 0, "initial", 0, 10),
    ],
    columns=["task", "strategy", "seed", "purpose", "cycle", "labels"],
)
CURVES = pd.DataFrame(
    [
        ("a", "NA", 0, 0, 10, 10),
        ("a", "NA", 0, 1, 15, 45),
        ("a", "NA", 0, 2, 20, 52),
        ("a", "other", 0, 0, 10, 10),
    ],
    columns=["task", "strategy", "seed", "cycle", "labels", "labels_strict"],
)


def test_charges_read_back(tmp_path):
    write_csv(CHARGES, tmp_path / "charges.csv")
    pd.testing.assert_frame_equal(read_published_charges(tmp_path / "charges.csv"), CHARGES)


def test_text_among_the_numbers_of_charges_is_refused(tmp_path):
    write_csv(CHARGES.assign(cycle="x"), tmp_path / "charges.csv")
    with pytest.raises(PublicationError, match=r"column .cycle. .*'x'"):
        read_published_charges(tmp_path / "charges.csv")


def test_what_was_read_before_a_model_adds_up_to_its_strict_labels():
    assert imbalance(CURVES, CHARGES) == ""


@pytest.mark.parametrize("row", range(5))
@pytest.mark.parametrize("more", [-1, 1])
def test_one_label_more_or_less_is_found(row, more):
    other = CHARGES.copy()
    other.loc[row, "labels"] += more
    cycle = 0 if row == 0 else 1 if row < 3 else 2
    assert imbalance(CURVES, other).startswith(f"a, NA, seed 0, cycle {cycle}: ")


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [(3, "purpose", "pool"), (2, "purpose", "initial"), (3, "purpose", "initial")],
)
def test_labels_that_are_called_paper_labels_are_found(row, column, value):
    """Warm starts and rewards are no paper labels, and initial ones come first."""
    other = CHARGES.copy()
    other.loc[row, column] = value
    assert imbalance(CURVES, other).startswith("a, NA, seed 0")


def test_charges_that_cancel_are_found():
    more = pd.DataFrame([("a", "NA", 0, "reward", 1, -2)], columns=CHARGES.columns)
    other = pd.concat([CHARGES, more.assign(labels=2, cycle=1), more], ignore_index=True)
    assert imbalance(CURVES, other)


def test_elsewhere_purposes_must_be_the_same_and_numbers_nearly():
    mine = CHARGES[CHARGES.strategy == "NA"].assign(task=TINY.name, strategy="random")
    few, many = mine.copy(), mine.copy()
    few.loc[3, "labels"] += 1
    many.loc[3, "labels"] += 20
    assert charges_difference(RUN, mine, mine, exact=True) == ""
    assert "reward" in charges_difference(RUN, few, mine, exact=True)
    assert charges_difference(RUN, few, mine, exact=False) == ""
    assert "reward" in charges_difference(RUN, many, mine, exact=False)


@pytest.mark.parametrize("row", [0, 6])
def test_a_missing_row_is_found(row):
    assert imbalance(CURVES, CHARGES.drop(index=row))


def test_charges_without_a_curve_are_found():
    assert imbalance(CURVES[CURVES.strategy == "NA"], CHARGES).startswith("a, other, seed 0, ")


def test_labels_that_are_only_bought_serve_no_other_purpose_elsewhere():
    rows = [(TINY.name, "random", 0, *row) for row in (("initial", 0, 8), ("pool", 0, 40))]
    mine = pd.DataFrame(rows, columns=CHARGES.columns)
    moved = pd.concat([mine, mine[1:].assign(purpose="reward", labels=1)], ignore_index=True)
    moved.loc[1, "labels"] -= 1
    assert charges_difference(RUN, mine, mine, exact=False) == ""
    assert "reward" in charges_difference(RUN, moved, mine, exact=False)
