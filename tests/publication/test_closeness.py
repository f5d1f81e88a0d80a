"""Published curves and charges: read back, compared with others, and close enough to them."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import TINY, flat, row, spec, store_run

from fal_bench.errors import PublicationError
from fal_bench.publication.closeness import (
    PublishedRun,
    accuracy_spread,
    allowed_deviations,
    compare_curves,
    curve_of,
    imbalance,
    judge_closeness,
)
from fal_bench.reporting.export import write_csv
from fal_bench.results.published import read_published_charges, read_published_curves
from fal_bench.results.store import Store
from fal_bench.results.stored import read_planned

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
    assert compare_curves(RUN, other, curve, 1e-9).state == "same"


@pytest.mark.parametrize("column", ["accuracy", "precision", "loss"])
def test_measurements_may_differ_within_the_tolerance(curve, column):
    other = changed(curve, column, 2, curve[column][2] + 0.01)
    assert compare_curves(RUN, other, curve, 0.011).state == "same"
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


def test_the_largest_difference_is_told(curve):
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
SLOPE = np.linspace(0.2, 0.8, CYCLES)
STEPS = (-0.01, 0.01, -0.03, 0.01)


def curve_along(seed, accuracy, strategy="random"):
    rows = [
        {
            **flat(row(TINY, cycle, float(value))), "task": TINY.name, "strategy": strategy,
            "seed": seed, "task_hash": TINY.hash, "reference": False,
        }
        for cycle, value in enumerate(accuracy)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def published():
    return pd.concat([curve_along(seed, SLOPE + step) for seed, step in enumerate(STEPS)])


def judged(computed, published, deviations=3.0):
    return judge_closeness(RUN, computed, published, deviations)


def test_the_spread_is_that_between_seeds(published):
    step = np.std(STEPS, ddof=1)
    assert accuracy_spread(TINY, published) == pytest.approx(step)
    steady = pd.concat([curve_along(seed, SLOPE, "steady") for seed in range(4)])
    both = pd.concat([published, steady])
    assert accuracy_spread(TINY, both) == pytest.approx(step / np.sqrt(2))
    assert np.isnan(accuracy_spread(TINY, curve_along(0, SLOPE)))


def test_a_curve_may_be_another_run_but_not_any_other(published):
    spread = accuracy_spread(TINY, published)
    for step, state in ((0.0, "close"), (2.9 * spread, "close"), (3.1 * spread, "differs")):
        moved = SLOPE + STEPS[0]
        moved[2] += step
        outcome = judged(curve_along(0, moved), published)
        assert outcome.state == state
        assert outcome.accuracy_gap == pytest.approx(step)
    assert outcome.note.startswith(f"{TINY.label_grid[2]} labels: accuracy 0.0")
    assert f"allowed {3 * spread:.2g}" in outcome.note


def test_it_says_up_to_where_nothing_has_parted(published):
    moved = SLOPE + STEPS[0]
    moved[2:] += 0.02
    assert judged(curve_along(0, moved), published).note.endswith(
        f" up to {TINY.label_grid[1]} labels"
    )
    assert "up to" not in judged(curve_along(0, SLOPE + STEPS[0]), published).note


@pytest.mark.parametrize(
    ("column", "value"),
    [("accuracy", 0.22), ("precision", 0.3), ("loss", 1.1), ("labels", 12), ("task_hash", "0")],
)
def test_the_first_cycle_has_no_excuse(published, column, value):
    computed = curve_along(0, SLOPE + STEPS[0])
    computed.loc[0, column] = value
    outcome = judged(computed, published, deviations=100.0)
    assert outcome.state == "differs"
    assert outcome.note.startswith("cycle 0")
    assert column in outcome.note


def test_labels_must_be_as_many_where_all_seeds_have_the_same_number(published):
    computed = curve_along(0, SLOPE + STEPS[0])
    computed.loc[CYCLES - 1, "labels_strict"] += 1
    outcome = judged(computed, published)
    assert outcome.state == "differs"
    assert re.search(r"labels_strict 43 .*44 .*allowed 0", outcome.note)
    adaptive = published.copy()
    last = (adaptive["cycle"] == CYCLES - 1).to_numpy()
    adaptive.loc[last, "labels_strict"] += np.array([0, 1, 2, 3])
    assert judged(computed, adaptive).state == "close"


def test_a_single_seed_says_nothing_of_spread():
    outcome = judged(curve_along(0, SLOPE + 0.001), curve_along(0, SLOPE))
    assert outcome.state == "differs"
    assert "single seed" in outcome.note


def test_more_runs_allow_for_a_larger_largest_difference():
    allowed = [allowed_deviations(runs) for runs in (1, 4, 100, 1000)]
    assert allowed == sorted(allowed)
    assert allowed[1] == pytest.approx(3.02, abs=0.01)


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
    [("a", "NA", 0, 0, 10), ("a", "NA", 0, 1, 45), ("a", "NA", 0, 2, 52), ("a", "other", 0, 0, 10)],
    columns=["task", "strategy", "seed", "cycle", "labels_strict"],
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


@pytest.mark.parametrize("row", [0, 6])
def test_a_missing_row_is_found(row):
    assert imbalance(CURVES, CHARGES.drop(index=row))


def test_charges_without_a_curve_are_found():
    assert imbalance(CURVES[CURVES.strategy == "NA"], CHARGES).startswith("a, other, seed 0, ")
