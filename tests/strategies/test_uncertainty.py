"""Margin and entropy strategies on a toy pool whose scores are worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.needs import LIKE_TASK, LocalModel
from fal_bench.strategies.fal_entropy import FalEntropy
from fal_bench.strategies.fal_margin import FalMargin, SalMargin
from fal_bench.strategies.random import Random

# Margins 0.50, 0.05, 0.20, 0.30, 0.00; entropies (nats) 0.80, 0.86, 1.03, 0.65, 1.05.
GLOBAL = [[0.7, 0.2, 0.1], [0.5, 0.45, 0.05], [0.5, 0.3, 0.2], [0.65, 0.35, 0.0], [0.4, 0.4, 0.2]]
# Margins 0.0, 0.9, 0.8, 0.7, 0.1.
LOCAL = [[0.5, 0.5, 0], [0.95, 0.05, 0], [0.9, 0.1, 0], [0.85, 0.15, 0], [0.55, 0.45, 0]]


@pytest.fixture
def client(pools):
    return pools(GLOBAL, LOCAL)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [(FalMargin, [4, 1, 2]), (FalEntropy, [4, 2, 1]), (SalMargin, [0, 4, 3])],
)
def test_the_most_uncertain_of_a_model_by_hand(client, strategy, expected):
    assert strategy().select(client, 3).tolist() == expected


def test_sal_margin_trains_as_its_parameters_say():
    assert SalMargin().needs == {LocalModel(LIKE_TASK)}
    left = frozenset({"momentum", "weight_decay", "adam"})
    own = replace(LIKE_TASK, epochs=3, lr=0.1, batch_size=8, inherited=left)
    assert SalMargin({"epochs": 3, "lr": 0.1, "batch_size": 8}).needs == {LocalModel(own)}
    with pytest.raises(InvalidSpecError, match="'epochs' cannot be 0"):
        SalMargin({"epochs": 0})
    with pytest.raises(InvalidSpecError, match=r"'epoch'.*'epochs'.*lr, batch_size"):
        SalMargin({"epoch": 3})


def test_random_is_uniform_and_repeats_with_its_stream(pools):
    def pick(seed):
        return Random().select(pools(GLOBAL, seed=seed), 2)

    np.testing.assert_array_equal(pick(7), pick(7))
    counts = np.bincount(np.concatenate([pick(seed) for seed in range(2000)]), minlength=5)
    # 2000 draws of 2 of 5: each position 800 times, standard deviation 22.
    assert np.abs(counts - 800).max() < 5 * 22
