"""Expected labels with restarts, and the median, by hand."""

import math

import numpy as np
import pytest

from fal_bench.stats import Budget, expected_restart_labels, median_budget


def rng():
    return np.random.default_rng(0)


def runs(*labels, cap=100):
    return [Budget(float(min(n, cap)), n < cap) for n in labels]


def test_ert_of_four_runs():
    # Two of four reached, at 30 and 50; the others spent 100 each: 280 labels for two successes.
    found = expected_restart_labels([runs(30, 100, 50, 100)], rng())
    assert found.mean == 140
    assert math.isnan(found.low)
    # The same by its other definition: mean of successes + failures per success * their cost.
    assert found.mean == 40 + 2 / 2 * 100


def test_ert_without_censoring_is_the_mean_and_without_success_infinite():
    assert expected_restart_labels([runs(30, 40, 80)], rng()).mean == 50
    none_reached = expected_restart_labels([runs(*[100] * 30)], rng())
    assert none_reached.mean == math.inf
    assert math.isnan(none_reached.high)


@pytest.mark.parametrize(("number", "interval"), [(19, False), (20, True)])
def test_ert_has_an_interval_from_twenty_runs_on(number, interval):
    found = expected_restart_labels([runs(*range(30, 30 + number))], rng())
    assert math.isfinite(found.low) == interval
    if interval:
        assert found.low < found.mean < found.high


def test_an_ert_interval_may_end_at_infinity_and_is_never_of_zero_width():
    found = expected_restart_labels([runs(30, *[100] * 19)], rng())
    assert found.high == math.inf
    assert 30 <= found.low < math.inf
    assert math.isnan(expected_restart_labels([runs(*[30] * 20)], rng()).low)


def test_ert_interval_against_a_plain_bootstrap():
    labels = np.r_[np.linspace(20, 90, 30), np.full(10, 100.0)]
    found = expected_restart_labels([runs(*labels)], rng(), draws=4000)
    samples = np.random.default_rng(1).choice(labels, size=(4000, 40))
    plain = samples.sum(axis=1) / (samples < 100).sum(axis=1)
    assert (found.low, found.high) == pytest.approx(np.quantile(plain, [0.025, 0.975]), rel=0.03)


def test_median_of_odd_even_and_censored_runs():
    assert median_budget(runs(30, 10, 20)) == Budget(20, True)
    assert median_budget(runs(30, 10, 20, 40)) == Budget(25, True)
    assert median_budget(runs(30, 10, 100)) == Budget(30, True)
    # Half of the runs, or more, failed: the median is somewhere above the cap.
    assert median_budget(runs(30, 10, 100, 100)) == Budget(100, False)
    assert median_budget(runs(100, 100)) == Budget(100, False)


@pytest.mark.parametrize("summary", [median_budget, lambda b: expected_restart_labels(b, rng())])
def test_no_run_is_refused(summary):
    with pytest.raises(ValueError, match="one run"):
        summary([])


def test_ert_of_tasks_is_their_mean_and_their_intervals_narrow_it():
    assert expected_restart_labels([runs(30, 100), runs(50, 50)], rng()).mean == (130 + 50) / 2
    assert expected_restart_labels([runs(30, 100), runs(100)], rng()).mean == math.inf
    one = list(np.linspace(20, 90, 25))
    single = expected_restart_labels([runs(*one)], rng())
    double = expected_restart_labels([runs(*one), runs(*one)], rng())
    assert double.high - double.low < 0.9 * (single.high - single.low)
    assert math.isnan(expected_restart_labels([runs(*one), runs(*one[:19])], rng()).low)
