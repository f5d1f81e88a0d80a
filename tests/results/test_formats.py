"""Curves as CSV, read back."""

from stored import TINY, row

from fal_bench.inputs.limits import MOST_CLIENTS
from fal_bench.results.formats import curve_csv, read_curve


def test_the_largest_federation_has_a_curve_that_can_be_read():
    many = TINY.model_copy(update={"clients": MOST_CLIENTS, "budget_cap": 20 * MOST_CLIENTS})
    rows = [row(many, cycle, 0.5) for cycle in range(2)]
    assert len(rows[0].labels_by_client) > 2**17  # characters that a field may have for csv
    assert read_curve(curve_csv(rows).decode()) == rows


def test_a_line_that_was_cut_short_is_no_row():
    rows = [row(TINY, cycle, 0.5) for cycle in range(3)]
    text = curve_csv(rows).decode()
    assert read_curve(text) == rows
    assert read_curve(text[:-1]) == rows[:2]
    heading = text[: text.index("\n")]
    for empty in ("", "\n", heading, f"{heading}\n"):
        assert read_curve(empty) == []
