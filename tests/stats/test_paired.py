"""Paired savings, the sign-flip test and Holm's correction."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fal_bench.stats import Budget, can_reject, holm, log_ratios, paired_saving, sign_flip_test


def reached(*labels):
    return [Budget(float(n), reached=True) for n in labels]


def censored(*labels):
    return [Budget(float(n), reached=False) for n in labels]


def rng():
    return np.random.default_rng(0)


def test_saving_is_one_minus_the_geometric_mean_ratio():
    # Ratios 0.5, 0.5 * e^0.1 and 0.5 * e^0.2: mean log-ratio ln 0.5 + 0.1, two degrees.
    ours = [reached(50, 50 * math.exp(0.1), 50 * math.exp(0.2))]
    saving = paired_saving(ours, [reached(100, 100, 100)])
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert saving.saving == pytest.approx(1 - 0.5 * math.exp(0.1))
    assert saving.low == pytest.approx(1 - 0.5 * math.exp(0.1 + half))
    assert saving.high == pytest.approx(1 - 0.5 * math.exp(0.1 - half))
    assert saving.comparable


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([reached(50, 60), reached(70, 80)], (0.5 * 0.6 * 0.7 * 0.8) ** 0.25),
        ([reached(50, 60), reached(70)], ((0.5 * 0.6) ** 0.5 * 0.7) ** 0.5),
    ],
)
def test_one_or_two_pairs_in_a_task_give_a_saving_without_an_interval(ours, expected):
    saving = paired_saving(ours, [reached(*[100] * len(task)) for task in ours])
    assert saving.saving == pytest.approx(1 - expected)
    assert math.isnan(saving.low)
    assert math.isnan(saving.high)


def test_tasks_weigh_the_same():
    ours, theirs = [reached(50, 50), reached(200, 200)], [reached(100, 100), reached(100, 100)]
    assert paired_saving(ours, theirs).saving == pytest.approx(0)


def test_identical_runs_save_exactly_nothing_and_are_no_evidence():
    runs = [reached(90, 110, 130.5), reached(50, 60, 70)]
    saving = paired_saving(runs, runs)
    assert saving.saving == 0.0
    assert math.copysign(1, saving.saving) == 1
    assert math.isnan(saving.low)
    assert math.isnan(saving.high)
    assert sign_flip_test(log_ratios(runs, runs), rng()) == 1.0


def test_censored_pairs_are_counted_by_direction():
    ours = [reached(90) + censored(100, 100, 100) + reached(80, 70)]
    theirs = [reached(90, 80) + censored(100, 100, 100) + reached(80)]
    saving = paired_saving(ours, theirs)
    assert saving.strategy_censored == 1
    assert saving.baseline_censored == 1
    assert saving.both_censored == 2
    assert saving.undecided == 0


@pytest.mark.parametrize(("neither", "comparable"), [(1, True), (2, True), (3, False), (4, False)])
def test_not_comparable_when_neither_reached_in_more_than_half(neither, comparable):
    runs = [reached(*[90] * (4 - neither)) + censored(*[100] * neither)]
    assert paired_saving(runs, runs).comparable == comparable


def test_a_baseline_censored_below_the_strategys_budget_decides_nothing():
    # Strict labels: 150 were needed, where the baseline was stopped at 100 without reaching.
    saving = paired_saving([reached(150, 150, 90)], [censored(100, 100, 100)])
    assert saving.baseline_censored == 3
    assert saving.undecided == 2
    assert not saving.comparable


def test_runs_must_pair_up():
    with pytest.raises(ValueError, match="argument 2"):
        log_ratios([reached(1, 2)], [reached(1)])
    with pytest.raises(ValueError, match="argument 2"):
        log_ratios([reached(1)], [reached(1), reached(1)])
    with pytest.raises(ValueError, match="positive"):
        log_ratios([reached(0)], [reached(1)])


def test_sign_flip_of_one_sided_differences_is_at_its_floor():
    assert sign_flip_test([[0.1, 0.2, 0.3, 0.25, 0.4]], rng()) == 2 / 32
    assert sign_flip_test([[-0.1] * 3, [-0.2] * 3], rng()) == 2 / 64


def test_exact_sign_flip_matches_scipy():
    values = np.array([0.3, -0.1, 0.25, 0.4, -0.05, 0.12, 0.2])
    oracle = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_test([values], rng()) == pytest.approx(oracle.pvalue)


@given(
    st.lists(
        st.lists(st.integers(-5, 5).map(lambda n: n / 10), min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    )
)
def test_exact_sign_flip_matches_enumeration(tasks):
    def statistic(signs):
        signs = iter(signs)
        return np.mean([np.mean([next(signs) * value for value in task]) for task in tasks])

    n = sum(map(len, tasks))
    observed = abs(statistic([1] * n))
    patterns = itertools.product([-1, 1], repeat=n)
    hits = sum(abs(statistic(signs)) >= observed - 1e-9 for signs in patterns)
    assert sign_flip_test(tasks, rng()) == pytest.approx(hits / 2**n)
    assert sign_flip_test([[-v for v in task] for task in tasks], rng()) == hits / 2**n


def test_drawn_sign_flip_is_near_the_exact_one_and_repeats():
    values = np.linspace(-0.2, 0.35, 17)
    drawn = sign_flip_test([values], rng())
    signs = 1 - 2 * (np.arange(2**17)[:, None] >> np.arange(17) & 1)
    exact = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-12)
    assert 0.02 < exact < 0.5
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 10_000))
    assert drawn == sign_flip_test([values], rng())


def test_drawn_sign_flip_is_never_zero():
    assert sign_flip_test([[1.0] * 40], rng(), draws=99) == 1 / 100


def test_sign_flip_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        sign_flip_test([[0.1], []], rng())


def test_holm_by_hand():
    # Sorted: .01 * 4, .02 * 3, .03 * 2 raised to .06, .5.
    np.testing.assert_allclose(holm([0.03, 0.01, 0.5, 0.02]), [0.06, 0.04, 0.5, 0.06])


def test_holm_leaves_untested_comparisons_out():
    np.testing.assert_allclose(holm([0.03, np.nan, 0.01]), [0.03, np.nan, 0.02])
    assert holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_raises_p_values_and_keeps_their_order(p_values):
    raw = np.array(p_values)
    adjusted = holm(raw)
    assert np.all((adjusted >= raw) & (adjusted <= np.minimum(1, raw.size * raw)))
    order = np.argsort(raw, kind="stable")
    assert np.all(np.diff(adjusted[order]) >= 0)
    np.testing.assert_array_equal(holm(raw[::-1]), adjusted[::-1])


@pytest.mark.parametrize(("comparisons", "pairs"), [(1, 6), (5, 8), (10, 9), (15, 10)])
def test_pairs_needed_for_a_verdict(comparisons, pairs):
    assert can_reject(pairs, comparisons)
    assert not can_reject(pairs - 1, comparisons)
