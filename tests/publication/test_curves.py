"""Published curves, read and compared."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import TINY, flat, row, spec, store_run

from fal_bench.errors import PublicationError
from fal_bench.publication.closeness import PublishedRun, compare_curves, curve_of
from fal_bench.report.export import write_csv
from fal_bench.results.published import read_published_curves
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task,strategy\na,b\n", "does not have the columns"),
        ("", "Cannot read"),
        ('a,b\n"x\n', "Cannot read"),
    ],
)
def test_what_is_no_table_of_curves_is_refused(tmp_path, text, message):
    (tmp_path / "curves.csv").write_text(text)
    with pytest.raises(PublicationError, match=message):
        read_published_curves(tmp_path / "curves.csv")


def test_text_among_numbers_is_refused(tmp_path, curve):
    write_csv(curve, tmp_path / "curves.csv")
    text = (tmp_path / "curves.csv").read_text()
    (tmp_path / "curves.csv").write_text(text.replace(",1.0,", ",one,", 1))
    with pytest.raises(PublicationError, match=r"column .loss. .*one"):
        read_published_curves(tmp_path / "curves.csv")
