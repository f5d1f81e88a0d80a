"""The Kaplan-Meier curve and its restricted mean, by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.stats import Budget, kaplan_meier, kaplan_meier_mean, restricted_mean

# 1 reached at 10, 1 censored at 15, 1 reached at 20, 1 censored at 30.
MIXED = [Budget(20, True), Budget(10, True), Budget(30, False), Budget(15, False)]


def test_curve_by_hand():
    labels, share = kaplan_meier(MIXED)
    assert labels.tolist() == [10, 20]
    assert share == pytest.approx([3 / 4, 3 / 4 * 1 / 2])


def test_mean_and_greenwood_variance_by_hand():
    found = kaplan_meier_mean(MIXED)
    # 10 * 1 + 10 * 3/4 + 10 * 3/8; areas beyond the events: 7.5 + 3.75 and 3.75.
    assert found.mean == pytest.approx(21.25)
    assert found.variance == pytest.approx(11.25**2 / (4 * 3) + 3.75**2 / (2 * 1))


def test_a_horizon_cuts_the_area():
    assert kaplan_meier_mean(MIXED, 15).mean == pytest.approx(10 + 5 * 0.75)
    assert kaplan_meier_mean(MIXED, 5).mean == 5
    assert kaplan_meier_mean(MIXED, 5).variance == 0


def test_nothing_is_known_beyond_the_last_observation():
    with pytest.raises(ValueError, match="beyond 30"):
        kaplan_meier_mean(MIXED, 31)
    with pytest.raises(ValueError, match="beyond 10"):
        kaplan_meier_mean([Budget(10, False)], 11)
    assert kaplan_meier_mean([Budget(10, True)], 11).mean == 10
    with pytest.raises(ValueError, match="one run"):
        kaplan_meier([])


def test_a_run_censored_at_an_event_is_still_at_risk_there():
    _, share = kaplan_meier([Budget(10, True), Budget(10, False)])
    assert share.tolist() == [0.5]


def test_all_censored_and_none_censored():
    nobody = kaplan_meier_mean([Budget(40, False)] * 3)
    assert (nobody.mean, nobody.variance) == (40, 0)
    everyone = kaplan_meier_mean([Budget(n, True) for n in (10, 20, 60)])
    assert everyone.mean == pytest.approx(30)
    assert everyone.variance == pytest.approx(np.var([10, 20, 60]) / 3)


@settings(deadline=None)
@given(st.lists(st.integers(1, 120), min_size=1, max_size=12))
def test_under_a_common_cap_it_is_the_plain_mean_and_variance(times):
    """With ties, and with any number of runs censored at the cap of 100."""
    found = kaplan_meier_mean([Budget(min(time, 100), time <= 100) for time in times])
    plain = np.minimum(times, 100)
    assert found.mean == pytest.approx(plain.mean())
    assert found.variance == pytest.approx(plain.var() / plain.size, abs=1e-9)


@settings(deadline=None)
@given(st.permutations(MIXED))
def test_the_order_of_runs_does_not_matter(runs):
    assert kaplan_meier_mean(runs) == kaplan_meier_mean(MIXED)


def test_unequal_censoring_reaches_the_leaderboards_mean():
    plain = np.mean([10, 15, 20, 30])
    assert restricted_mean([MIXED]).mean == pytest.approx(21.25)
    assert restricted_mean([MIXED]).mean > plain
