"""The mean of task means against SciPy's t intervals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fal_bench.stats import mean_of_task_means


def test_one_task_is_the_usual_t_interval():
    values = [3.0, 5.0, 10.0]
    estimate = mean_of_task_means([values])
    oracle = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert estimate.mean == pytest.approx(6)
    assert (estimate.low, estimate.high) == pytest.approx((oracle.low, oracle.high))


def test_two_tasks_follow_welch():
    # mean(x) - mean(y), Welch's interval, is twice the mean of the task means of x and -y.
    x, y = [1.0, 2.0, 4.0], [10.0, 30.0, 20.0, 25.0, 11.0]
    estimate = mean_of_task_means([x, [-v for v in y]], level=0.9)
    oracle = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.9)
    assert 2 * estimate.low == pytest.approx(oracle.low)
    assert 2 * estimate.high == pytest.approx(oracle.high)


def test_tasks_weigh_the_same_whatever_their_runs():
    assert mean_of_task_means([[1.0], [3.0, 4.0, 5.0]]).mean == pytest.approx(2.5)


@pytest.mark.parametrize(
    "samples",
    [[[1.0]], [[1.0, 2.0]], [[1.0, 2.0, 4.0], [1.0, 3.0]], [[0.1] * 3], [[110.3] * 7]],
)
def test_no_interval_of_fewer_than_three_runs_or_of_zero_width(samples):
    estimate = mean_of_task_means(samples)
    assert math.isfinite(estimate.mean)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


def test_one_constant_task_does_not_void_the_interval():
    estimate = mean_of_task_means([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    # s^2/n = 1/3 for the first task alone: 2 degrees of freedom, standard error sqrt(1/3) / 2.
    half = stats.t.ppf(0.975, 2) * math.sqrt(1 / 3) / 2
    assert (estimate.low, estimate.high) == pytest.approx((3.5 - half, 3.5 + half))


@pytest.mark.parametrize("samples", [[], [[]], [[1.0], []]])
def test_nothing_to_average_is_refused(samples):
    with pytest.raises(ValueError, match="task"):
        mean_of_task_means(samples)


@given(st.lists(st.lists(st.floats(1, 1e4), min_size=1, max_size=6), min_size=1, max_size=5))
def test_the_interval_is_around_the_mean(samples):
    estimate = mean_of_task_means(samples)
    if math.isnan(estimate.low):
        assert math.isnan(estimate.high)
    else:
        assert estimate.low < estimate.mean < estimate.high
