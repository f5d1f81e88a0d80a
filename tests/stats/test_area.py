"""The area under the learning curve."""

import math

import pytest

from fal_bench.stats import area_under_curve


def test_by_hand():
    # Trapezes of 10 * 0.3 and 30 * 0.5 over a width of 40.
    assert area_under_curve([10, 20, 50], [0.2, 0.4, 0.6]) == pytest.approx((3 + 15) / 40)


def test_a_constant_curve_is_its_value_and_a_gap_is_not_bridged():
    assert area_under_curve([10, 20, 40], [0.3] * 3) == pytest.approx(0.3)
    assert math.isnan(area_under_curve([10, 20, 40], [0.3, math.nan, 0.3]))


@pytest.mark.parametrize(("grid", "values"), [([10], [0.1]), ([10, 20], [0.1])])
def test_malformed_curves_are_refused(grid, values):
    with pytest.raises(ValueError, match="two grid points"):
        area_under_curve(grid, values)
