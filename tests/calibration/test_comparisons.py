"""The measuring instrument itself, on stocks whose rates are known."""

import numpy as np
import pytest
from comparisons import draw_comparison, measure, standard_errors

from fal_bench.stats import Budget


def rng():
    return np.random.default_rng(0)


def stock(spread, *, tasks=1, seeds=60, twins=4, cap=np.inf):
    labels = np.exp(rng().normal(6, spread, size=(tasks, seeds, twins)))
    return [
        [[Budget(float(min(n, cap)), n < cap) for n in seed] for seed in task] for task in labels
    ]


def test_a_comparison_pairs_different_twins_of_the_same_seeds():
    numbered = [
        [[Budget(100.0 * seed + twin, True) for twin in range(1, 5)] for seed in range(1, 9)]
        for _ in range(2)
    ]
    ours, theirs = draw_comparison(numbered, 5, rng())
    seeds = [[run.labels // 100 for run in task] for task in (*ours, *theirs)]
    assert seeds == [seeds[0]] * 4
    assert len(set(seeds[0])) == 5
    for one, other in zip(ours, theirs, strict=True):
        assert all(a.labels != b.labels for a, b in zip(one, other, strict=True))


def test_independent_twins_have_the_nominal_rates():
    found = measure(stock(0.1), 6, 600, rng())
    assert found.significant == pytest.approx(0.05, abs=0.03)
    assert found.covered == pytest.approx(0.95, abs=0.03)
    assert (found.comparisons, found.not_comparable, found.tied_pairs) == (600, 0, 0)


def test_ties_and_censoring_are_counted():
    same = [[[Budget(100.0, True)] * 2] * 20]
    found = measure(same, 6, 50, rng(), ranks=False)
    assert (found.significant, found.tied_pairs, found.no_interval) == (0, 1, 1)
    hard = measure(stock(0.1, cap=np.exp(6)), 6, 200, rng(), ranks=False)
    assert hard.censored_pairs == pytest.approx(0.75, abs=0.1)
    assert hard.not_comparable < 0.5


def test_standard_errors_of_independent_comparisons():
    """In a stock so large that comparisons share nothing, the binomial error remains."""
    error, _ = standard_errors(stock(0.1, seeds=2000), 6, 60, rng(), replicates=30)
    assert error == pytest.approx(np.sqrt(0.05 * 0.95 / 60), rel=0.4)


def test_weights_decide_which_seeds_are_drawn():
    weights = np.zeros(60)
    weights[10:20] = 0.1
    plain = stock(0.1)
    ours, _ = draw_comparison(plain, 10, rng(), weights)
    allowed = {run.labels for seed in plain[0][10:20] for run in seed}
    assert {run.labels for run in ours[0]} <= allowed


def test_too_few_pairs_are_refused():
    with pytest.raises(ValueError, match="too few"):
        measure(stock(0.1), 5, 10, rng())
