"""Power, reliability and separation, against known values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fal_bench.inspection.estimates import (
    MOST_SEEDS,
    Mean,
    reliability,
    sd_interval,
    seeds_needed,
    separated,
)


@pytest.mark.parametrize(("size", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_are_those_of_the_tables_of_the_paired_t_test(size, seeds):
    assert seeds_needed(0.10, -math.log(0.9) / size) == seeds


@settings(max_examples=25)
@given(st.floats(0.001, 0.9), st.floats(0, 10), st.floats(1, 3))
def test_more_spread_never_needs_fewer_seeds(saving, sd, more):
    low, high = (seeds_needed(saving, one) or MOST_SEEDS + 1 for one in (sd, more * sd))
    assert 2 <= low <= high


def test_seeds_beyond_counting_are_none():
    assert seeds_needed(0.05, 5.0) is None


def test_the_interval_of_a_standard_deviation_covers_it():
    rng = np.random.default_rng(0)
    intervals = [sd_interval(one, 4) for one in rng.normal(size=(2000, 5)).std(axis=1, ddof=1)]
    assert np.mean([low <= 1 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.015)


def test_a_mean_has_the_t_interval_of_the_values_that_are_known():
    found = Mean.of([1.0, 2.0, math.nan, 4.0])
    low, high = stats.ttest_1samp([1.0, 2.0, 4.0], 0).confidence_interval()
    assert (found.value - found.half, found.value + found.half) == pytest.approx((low, high))
    assert math.isnan(Mean.of([3.0]).half)
    assert math.isnan(Mean.of([]).value)


@pytest.mark.parametrize("truth", [0.2, 0.5, 0.9])
def test_reliability_is_the_share_of_the_variance_that_strategies_explain(truth):
    rng = np.random.default_rng(1)
    strategies = math.sqrt(truth) * rng.normal(size=(400, 1))
    values = strategies + math.sqrt(1 - truth) * rng.normal(size=(400, 3))
    assert reliability(values) == pytest.approx(truth, abs=0.07)


@settings(max_examples=25)
@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5))
def test_what_a_seed_does_to_all_strategies_counts_for_nothing(shifts):
    values = np.random.default_rng(2).normal(size=(4, 5)) + np.arange(4)[:, None]
    assert reliability(values + shifts) == pytest.approx(reliability(values))
    assert separated(values + shifts) == separated(values)


def test_pairs_are_separated_where_their_intervals_leave_out_zero():
    noise = np.random.default_rng(3).normal(scale=0.01, size=(3, 6))
    assert separated(noise + np.array([[0.0], [0.0], [1.0]])) == 2


def test_equal_values_have_no_reliability_by_rounding():
    rng = np.random.default_rng(4)
    for _ in range(20):
        equal = np.tile(np.log(rng.uniform(10, 100, size=7)), (11, 1))
        assert reliability(equal) == 0.0
        assert separated(equal) == 0
