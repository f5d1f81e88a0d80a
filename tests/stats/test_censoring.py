"""Kaplan-Meier and restricted means, and the share of runs that reached the target."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fal_bench.stats import Budget, kaplan_meier_mean, restricted_mean, wilson_interval

CAP = 200.0
# 1 reached at 10, 1 censored at 15, 1 reached at 20, 1 censored at 30.
MIXED = [Budget(20, True), Budget(10, True), Budget(30, False), Budget(15, False)]


def runs(*labels):
    """Budgets of one task; those at the cap are censored."""
    return [Budget(float(n), reached=n < CAP) for n in labels]


def test_mean_and_greenwood_variance_by_hand():
    mean, variance = kaplan_meier_mean(MIXED)
    # 10 * 1 + 10 * 3/4 + 10 * 3/8; areas beyond the events: 7.5 + 3.75 and 3.75.
    assert mean == pytest.approx(21.25)
    assert variance == pytest.approx(11.25**2 / (4 * 3) + 3.75**2 / (2 * 1))
    assert restricted_mean([MIXED]).mean == mean > np.mean([10, 15, 20, 30])


def test_a_run_censored_at_an_event_is_still_at_risk_there():
    mean, _ = kaplan_meier_mean([Budget(10, True), Budget(10, False), Budget(40, False)])
    assert mean == pytest.approx(10 + 30 * 2 / 3)


@given(st.lists(st.integers(1, 120), min_size=1, max_size=12))
def test_under_a_common_cap_it_is_the_plain_mean_and_variance(times):
    """With ties, and with any number of runs censored at the cap of 100: all, some or none."""
    mean, variance = kaplan_meier_mean([Budget(min(time, 100), time <= 100) for time in times])
    plain = np.minimum(times, 100)
    assert mean == pytest.approx(plain.mean())
    assert variance == pytest.approx(plain.var() / plain.size, abs=1e-9)


@given(st.permutations(MIXED))
def test_the_order_of_runs_does_not_matter(runs):
    assert kaplan_meier_mean(runs) == kaplan_meier_mean(MIXED)


@pytest.mark.parametrize(("summary", "nothing"), [(kaplan_meier_mean, []), (restricted_mean, [[]])])
def test_no_run_is_refused(summary, nothing):
    with pytest.raises(ValueError, match="one run"):
        summary(nothing)


def test_without_censoring_it_is_the_mean_with_its_t_interval():
    estimate = restricted_mean([runs(100, 120, 140)])
    half = stats.t.ppf(0.975, 2) * 20 / math.sqrt(3)
    assert estimate.mean == pytest.approx(120)
    assert (estimate.low, estimate.high) == pytest.approx((120 - half, 120 + half))


def test_censored_runs_count_at_the_cap():
    assert restricted_mean([runs(100, 120, 140, CAP)]).mean == pytest.approx(140)


def test_all_censored_has_no_interval():
    estimate = restricted_mean([runs(CAP, CAP, CAP, CAP)])
    assert estimate.mean == CAP
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


@pytest.mark.parametrize(
    ("reached", "censored", "interval"),
    [(2, 0, False), (3, 0, True), (2, 2, False), (3, 3, True), (3, 4, False), (4, 4, True)],
)
def test_the_interval_needs_three_and_half_of_the_runs(reached, censored, interval):
    estimate = restricted_mean([runs(*range(100, 100 + reached), *[CAP] * censored)])
    assert math.isfinite(estimate.low) == interval


def test_the_rule_counts_runs_over_all_tasks():
    assert math.isfinite(restricted_mean([runs(100, 110, 130), runs(CAP, CAP, CAP)]).low)
    assert math.isnan(restricted_mean([runs(100, 110, CAP), runs(CAP, CAP, CAP)]).low)


@pytest.mark.parametrize("tasks", [[[100], [120], [140]], [[90, 110], [110, 130], [130, 150]]])
def test_one_or_two_seeds_have_no_interval(tasks):
    estimate = restricted_mean([runs(*task) for task in tasks])
    assert estimate.mean == pytest.approx(120)
    assert math.isnan(estimate.low)


@given(st.lists(st.lists(st.floats(1, CAP), min_size=1, max_size=6), min_size=1, max_size=4))
def test_the_restricted_mean_is_at_most_the_cap(tasks):
    mean = restricted_mean([runs(*task) for task in tasks]).mean
    assert min(map(min, tasks)) * (1 - 1e-12) <= mean <= CAP * (1 + 1e-12)


@pytest.mark.parametrize(("reached", "total"), [(0, 5), (3, 5), (5, 5), (1, 1), (17, 40)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_matches_scipy(reached, total, level):
    oracle = stats.binomtest(reached, total).proportion_ci(level, method="wilson")
    assert wilson_interval(reached, total, level=level) == pytest.approx((oracle.low, oracle.high))


@pytest.mark.parametrize(("reached", "total"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_what_is_no_share(reached, total):
    with pytest.raises(ValueError, match="reached"):
        wilson_interval(reached, total)
