"""Which models the looks read, and the curve between them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.stats import area_under_curve, curve_at, models_read


def test_a_look_reads_the_last_model_that_it_can_afford():
    assert models_read([10, 20, 30], [10, 20, 30]).tolist() == [0, 1, 2]
    assert models_read([10, 13, 19, 34], [10, 20, 30, 34]).tolist() == [0, 2, 2, 3]


def test_there_is_nothing_before_the_first_model_and_the_last_one_stays():
    assert models_read([15, 28], [10, 20, 30, 40]).tolist() == [-1, 0, 1, 1]


def test_a_cycle_that_buys_nothing_replaces_the_model():
    assert models_read([10, 10, 20], [10, 20]).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("labels", "looks", "message"),
    [
        ([], [1], "never decrease"),
        ([2, 1], [1], "never decrease"),
        ([1, math.nan], [1], "never decrease"),
        ([1], [2, 2], "strictly increasing"),
        ([1], [[1]], "strictly increasing"),
    ],
)
def test_malformed_curves_are_refused(labels, looks, message):
    with pytest.raises(ValueError, match=message):
        models_read(labels, looks)


@given(
    first=st.integers(1, 20),
    bought=st.lists(st.integers(0, 15), max_size=12),
    step=st.integers(1, 12),
)
def test_matches_the_definition(first, bought, step):
    labels = np.cumsum([first, *bought])
    looks = np.arange(5, 120, step)
    for look, model in zip(looks, models_read(labels, looks), strict=True):
        allowed = [number for number, count in enumerate(labels) if count <= look]
        assert model == (allowed[-1] if allowed else -1)


def test_the_curve_between_models_is_straight_and_ends_with_them():
    found = curve_at([10, 20, 40], [0.2, 0.4, 0.8], [5, 10, 15, 30, 40, 41])
    np.testing.assert_allclose(found, [math.nan, 0.2, 0.3, 0.6, 0.8, math.nan])


def test_area_by_hand():
    # Trapezoids of width 10 and 10 between 10 and 30; the model at 40 only gives the slope.
    assert area_under_curve([10, 20, 40], [0.2, 0.4, 0.8], 10, 30) == pytest.approx(
        (10 * 0.3 + 10 * 0.5) / 20
    )


def test_a_curve_that_does_not_cover_the_budget_has_no_area():
    assert math.isnan(area_under_curve([10, 20], [0.2, 0.4], 10, 30))
    assert math.isnan(area_under_curve([15, 40], [0.2, 0.4], 10, 30))
    with pytest.raises(ValueError, match="beyond"):
        area_under_curve([10, 20], [0.2, 0.4], 30, 30)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8, unique=True), st.floats(0.001, 0.02))
def test_where_models_stand_on_a_line_does_not_change_its_area(inner, slope):
    labels = np.array(sorted({10, 60, *(10 + one for one in inner)}))
    assert area_under_curve(labels, slope * labels, 10, 60) == pytest.approx(35 * slope)
