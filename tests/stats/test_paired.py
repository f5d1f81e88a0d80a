"""Simultaneous intervals of paired differences."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from fal_bench.stats import (
    FEWEST_SEEDS,
    censored_pairs,
    mean_over_tasks,
    saving,
    simultaneous_intervals,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def critical_by_enumeration(differences, level):
    """The definition, sign pattern by sign pattern, without any rearrangement."""
    _, tasks, seeds = differences.shape
    centred = differences - differences.mean(axis=2, keepdims=True)
    largest = []
    for pattern in itertools.product((1, -1), repeat=tasks * seeds):
        signed = centred * np.reshape(pattern, (tasks, seeds))
        t_values = []
        for one in signed:
            error = math.sqrt(sum(task.var(ddof=1) / seeds for task in one)) / tasks
            t_values.append(abs(one.mean(axis=1).mean()) / error)
        largest.append(max(t_values))
    return sorted(largest)[math.ceil(level * (len(largest) - 1))]


def test_one_interval_by_definition():
    differences = rng().normal(0.1, 0.2, size=(3, 2, 5))
    found = simultaneous_intervals(differences, rng())
    critical = critical_by_enumeration(differences, 0.95)
    assert found.critical == pytest.approx(critical)
    for place, one in enumerate(differences):
        mean = one.mean(axis=1).mean()
        error = math.sqrt(sum(task.var(ddof=1) / 5 for task in one)) / 2
        assert found.means[place] == pytest.approx(mean)
        assert found.low[place] == pytest.approx(mean - critical * error)
        assert found.high[place] == pytest.approx(mean + critical * error)


def test_tasks_weigh_the_same():
    found = simultaneous_intervals([[[0.1] * 5, [0.5] * 5]], rng())
    assert found.means[0] == pytest.approx(0.3)


def test_one_comparison_of_normal_pairs_is_close_to_students_interval():
    differences = rng(1).normal(size=(1, 1, 40))
    found = simultaneous_intervals(differences, rng())
    assert found.critical == pytest.approx(stats.t.ppf(0.975, 39), rel=0.05)


def test_more_comparisons_take_wider_intervals():
    differences = rng().normal(size=(20, 1, 12))
    alone = simultaneous_intervals(differences[:1], rng())
    together = simultaneous_intervals(differences, rng())
    assert together.critical > 1.2 * alone.critical


def test_what_is_no_competitor_widens_no_interval():
    differences = rng().normal(size=(20, 1, 12))
    family = [True] + 19 * [False]
    found = simultaneous_intervals(differences, rng(), family=family)
    assert found.critical == simultaneous_intervals(differences[:1], rng()).critical
    assert np.isfinite(found.low).all()


def test_few_seeds_have_means_alone():
    found = simultaneous_intervals(np.ones((2, 3, FEWEST_SEEDS - 1)), rng())
    assert found.means.tolist() == [1, 1]
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_differences_that_do_not_vary_have_no_interval_and_disturb_none():
    varied = rng().normal(size=(1, 2, 6))
    together = np.concatenate([varied, np.full((1, 2, 6), 0.3)])
    found = simultaneous_intervals(together, rng())
    assert math.isnan(found.low[1])
    assert found.low[0] == simultaneous_intervals(varied, rng()).low[0]
    assert np.isnan(simultaneous_intervals(together[1:], rng()).low).all()


@pytest.mark.parametrize("shape", [(3, 5), (3, 0, 5), (3, 2, 0)])
def test_malformed_differences_are_refused(shape):
    with pytest.raises(ValueError, match="comparison, task, seed"):
        simultaneous_intervals(np.zeros(shape), rng())


@settings(max_examples=30)
@given(
    hnp.arrays(float, (3, 2, 6), elements=st.floats(-1, 1)),
    st.floats(-1, 1),
    st.floats(0.1, 10),
)
def test_intervals_move_and_grow_with_the_differences(differences, shift, scale):
    differences += rng().normal(scale=0.01, size=differences.shape)  # so that all of them vary
    plain = simultaneous_intervals(differences, rng())
    moved = simultaneous_intervals(scale * (differences + shift), rng())
    np.testing.assert_allclose(moved.low, scale * (plain.low + shift), atol=1e-9)
    np.testing.assert_allclose(moved.high, scale * (plain.high + shift), atol=1e-9)


def test_about_one_in_twenty_boards_of_equal_strategies_is_wrong():
    draws, wrong = rng(2), 0
    for _ in range(400):
        shared = draws.normal(size=(1, 2, 5))  # of the baseline
        found = simultaneous_intervals(draws.normal(size=(8, 2, 5)) - shared, rng())
        wrong += bool(np.any((found.low > 0) | (found.high < 0)))
    assert 0.02 * 400 <= wrong <= 0.09 * 400


def test_savings_and_log_ratios():
    assert saving(math.log(0.8)) == pytest.approx(0.2)
    assert saving(math.log(1.25)) == pytest.approx(-0.25)
    assert math.copysign(1, saving(0.0)) == 1


def test_an_interval_over_tasks_by_hand():
    low, high = mean_over_tasks([[0.1, 0.3], [0.5, 0.5], [0.2, 0.4]])
    means = np.array([0.2, 0.5, 0.3])
    half = stats.t.ppf(0.975, 2) * means.std(ddof=1) / math.sqrt(3)
    assert (low, high) == (pytest.approx(means.mean() - half), pytest.approx(means.mean() + half))
    assert mean_over_tasks([[0.1, 0.2]]) is None


def test_censored_pairs_are_counted_by_direction_and_open_an_end():
    ours = np.array([True] * 20 + [False] * 3)
    theirs = np.array([False] * 2 + [True] * 20 + [False])
    found = censored_pairs(ours, theirs)
    assert (found.strategy, found.baseline, found.both, found.pairs) == (2, 2, 1, 23)
    assert found.saving_understated  # 3 of 23
    assert found.harm_understated
    few = censored_pairs([True] * 30, [False] * 3 + [True] * 27)
    assert not few.saving_understated  # one pair in ten
    assert not few.harm_understated
    assert censored_pairs([True] * 30, [False] * 4 + [True] * 26).saving_understated
