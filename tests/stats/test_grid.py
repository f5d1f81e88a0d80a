"""Reading curves at the label grid, and the area under them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.stats import area_under_curve, read_at_grid

NAN = np.nan


def test_fixed_size_curve_is_read_at_its_own_points():
    values = read_at_grid([10, 20, 30], [0.1, 0.2, 0.3], [10, 20, 30])
    np.testing.assert_array_equal(values, [0.1, 0.2, 0.3])


def test_adaptive_curve_is_read_at_the_last_model_within_the_budget():
    values = read_at_grid([10, 13, 19, 34], [0.1, 0.2, 0.3, 0.4], [10, 20, 30, 34])
    np.testing.assert_array_equal(values, [0.1, 0.3, 0.3, 0.4])


def test_nothing_is_credited_before_the_first_or_after_the_last_model():
    values = read_at_grid([15, 28], [0.5, 0.9], [10, 20, 30, 40])
    np.testing.assert_array_equal(values, [NAN, 0.5, NAN, NAN])


def test_a_cycle_that_buys_nothing_replaces_the_model():
    np.testing.assert_array_equal(read_at_grid([10, 10, 20], [0.1, 0.4, 0.2], [10, 20]), [0.4, 0.2])


@pytest.mark.parametrize(
    ("labels", "values", "grid", "message"),
    [
        ([], [], [1], "equally long"),
        ([1, 2], [0.1], [1], "equally long"),
        ([2, 1], [0.1, 0.2], [1], "never decrease"),
        ([1, NAN], [0.1, 0.2], [1], "never decrease"),
        ([1], [0.1], [2, 2], "strictly increasing"),
    ],
)
def test_malformed_curves_are_refused(labels, values, grid, message):
    with pytest.raises(ValueError, match=message):
        read_at_grid(labels, values, grid)


@given(
    first=st.integers(1, 20),
    bought=st.lists(st.integers(0, 15), max_size=12),
    step=st.integers(1, 12),
)
def test_matches_the_definition(first, bought, step):
    labels = np.cumsum([first, *bought])
    values = np.arange(labels.size) / 10
    grid = np.arange(5, 120, step)
    for point, value in zip(grid, read_at_grid(labels, values, grid), strict=True):
        allowed = [v for n, v in zip(labels, values, strict=True) if n <= point]
        if not allowed or point > labels[-1]:
            assert np.isnan(value)
        else:
            assert value == allowed[-1]


def test_an_area_by_hand():
    # Trapezes of 10 * 0.3 and 30 * 0.5 over a width of 40.
    assert area_under_curve([10, 20, 50], [0.2, 0.4, 0.6]) == pytest.approx((3 + 15) / 40)


def test_a_constant_curve_is_its_value_and_a_gap_is_not_bridged():
    assert area_under_curve([10, 20, 40], [0.3] * 3) == pytest.approx(0.3)
    assert math.isnan(area_under_curve([10, 20, 40], [0.3, math.nan, 0.3]))


@pytest.mark.parametrize(("grid", "values"), [([10], [0.1]), ([10, 20], [0.1])])
def test_malformed_curves_have_no_area(grid, values):
    with pytest.raises(ValueError, match="two grid"):
        area_under_curve(grid, values)
