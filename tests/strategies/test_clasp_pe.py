"""ClaSP PE: quotas by hand, the noise's law, and its schedule."""

import numpy as np
import pytest
from scipy.stats import entropy

from fal_bench.errors import InvalidSpecError
from fal_bench.strategies.clasp_pe import ClaSPPE, even_quotas

QUIET = {"first_beta": 1e6, "last_beta": 1e6}
# Predicted classes 0 0 0 1 1 2; entropies grow within a class, and class 0 has the largest ones.
TABLE = [[0.9, 0.1, 0], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0, 0.95, 0.05], [0, 0.9, 0.1], [0, 0, 1]]


def test_each_class_gets_its_share_and_the_rest_is_free(pools):
    strategy = ClaSPPE({**QUIET, "stratified": 0.8})
    # Of five labels four are divided: one a class, and one more for a class at random.
    for seed in range(6):
        chosen = strategy.select(pools(TABLE, seed=seed), 5)
        assert {2, 4, 5} <= set(chosen.tolist())
        assert len(set(chosen.tolist())) == 5
    assert ClaSPPE({**QUIET, "stratified": 0}).select(pools(TABLE), 3).tolist() == [2, 1, 0]


def test_a_class_without_samples_leaves_its_labels_to_the_rest(pools):
    strategy = ClaSPPE({**QUIET, "stratified": 1})
    assert sorted(strategy.select(pools(TABLE[:3]), 3).tolist()) == [0, 1, 2]


def test_the_first_pick_is_drawn_by_powers_of_the_entropy(pools):
    strategy = ClaSPPE({"stratified": 0, "first_beta": 2.0})
    table = TABLE[:5]
    counts = np.zeros(5)
    for seed in range(2000):
        counts[strategy.select(pools(table, seed=seed), 1)[0]] += 1
    chances = entropy(np.array(table), axis=1) ** 2
    expected = 2000 * chances / chances.sum()
    assert (np.abs(counts - expected) < 4.5 * np.sqrt(expected)).all()


def test_the_exponent_grows_by_equal_factors():
    strategy = ClaSPPE()
    betas = [strategy.beta(cycle) for cycle in range(7)]
    np.testing.assert_allclose(betas, [1, 10**0.5, 10, 10**1.5, 100, 100, 100])
    assert ClaSPPE({"queries": 1}).beta(0) == 100
    with pytest.raises(InvalidSpecError, match="last_beta"):
        ClaSPPE({"last_beta": 0.5})


def test_quotas_are_even():
    quotas = even_quotas(11, 4, np.random.default_rng(0))
    assert sorted(quotas.tolist()) == [2, 3, 3, 3]
