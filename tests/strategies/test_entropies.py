"""Least confidence and the entropies of one model, of two, and of a fine-tuned one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy, rankdata

from fal_bench.plugins.needs import LIKE_TASK, LocalModel
from fal_bench.plugins.strategy import Train
from fal_bench.strategies.fal_entropy import EnsEntropy, EnsRankEntropy, FtEntropy, SalEntropy
from fal_bench.strategies.fal_least_confidence import FalLeastConfidence

# Top probabilities 0.7, 0.5, 0.45, 0.9; entropies (nats, by hand) 0.80, 0.69, 1.06, 0.33.
GLOBAL = [[0.7, 0.2, 0.1], [0.5, 0.5, 0], [0.45, 0.3, 0.25], [0.1, 0.9, 0]]
# Entropies 0.33, 0.94, 0, 0.67.
LOCAL = [[0.1, 0.9, 0], [0.6, 0.3, 0.1], [1, 0, 0], [0.6, 0.4, 0]]


@pytest.fixture
def client(pools):
    return pools(GLOBAL, LOCAL)


def test_least_confidence_takes_the_smallest_top_probabilities_of_the_global_model(client):
    assert FalLeastConfidence().select(client, 3).tolist() == [2, 1, 0]


def test_sal_entropy_takes_the_largest_entropies_of_the_local_model(client):
    assert SalEntropy().select(client, 3).tolist() == [1, 3, 0]


def test_ens_entropy_mixes_probabilities_and_not_entropies(client):
    # Means [.4 .55 .05], [.55 .4 .05], [.725 .15 .125], [.35 .65 0]: entropies 0.845 twice
    # (the same numbers), 0.778, 0.647. The mean of the entropies would rank 1, 2, 0, 3.
    assert EnsEntropy().select(client, 4).tolist() in ([0, 1, 2, 3], [1, 0, 2, 3])


@given(st.integers(0, 999))
def test_ens_entropy_against_scipy(pools, seed):
    tables = np.random.default_rng(seed).dirichlet(np.ones(5), size=(2, 9)).astype(np.float32)
    client = pools(*tables)
    expected = np.argsort(-entropy(tables.mean(axis=0, dtype=np.float64), axis=1))[:4]
    assert EnsEntropy().select(client, 4).tolist() == expected.tolist()


def test_rank_fusion_by_hand(client):
    # Ranks from 0: global 2, 0, 1, 3 -> samples 0: 1, 1: 2, 2: 0, 3: 3; local 0: 2, 1: 0, 2: 3,
    # 3: 1. Sums of 1/(20 + rank): 0: 1/21+1/22 = .09307; 1: 1/22+1/20 = .09545;
    # 2: 1/20+1/23 = .09348; 3: 1/23+1/21 = .09110.
    assert EnsRankEntropy().select(client, 4).tolist() == [1, 2, 0, 3]


def test_truncated_rank_fusion_by_hand(client):
    # Of each ranking the first two: global 2, 0 and local 1, 3: 2 and 1 get 1/20, 0 and 3 1/21.
    truncated = EnsRankEntropy({"truncated": True})
    assert truncated.select(client, 2).tolist() == [1, 2]
    # Of each the first three: 2: 1/20, 0: 1/21 + 1/22, 1: 1/22 + 1/20, 3: 1/21.
    assert truncated.select(client, 3).tolist() == [1, 0, 2]


@given(st.integers(0, 999), st.integers(1, 50))
def test_rank_fusion_against_scipys_ranks(pools, seed, offset):
    tables = np.random.default_rng(seed).dirichlet(np.ones(4), size=(2, 12)).astype(np.float32)
    client = pools(*tables)
    ranks = [rankdata(-entropy(table, axis=1)) - 1 for table in tables]
    scores = sum(1 / (offset + rank) for rank in ranks)
    chosen = EnsRankEntropy({"offset": offset}).select(client, 5)
    np.testing.assert_allclose(scores[chosen], np.sort(scores)[::-1][:5])


def test_ft_entropy_trains_from_the_global_model_and_looks_through_the_result(client, toy_model):
    selecting = FtEntropy({"epochs": 7}).select(client, 2)
    order = next(selecting)
    assert order == Train(replace(LIKE_TASK, epochs=7), start=client.global_model)
    with pytest.raises(StopIteration) as stop:
        selecting.send(toy_model(LOCAL, np.eye(3), probs=LOCAL[::-1]))
    assert stop.value.value.tolist() == [2, 0]  # LOCAL's order, turned round


@pytest.mark.parametrize("strategy", [SalEntropy, EnsEntropy, EnsRankEntropy])
def test_the_local_model_is_trained_as_the_parameters_say(strategy):
    assert strategy().needs == {LocalModel(LIKE_TASK)}
    left = LIKE_TASK.inherited - {"lr", "batch_size"}
    quirk = replace(LIKE_TASK, epochs=9, lr=0.2, batch_size=4, lr_drop_step=37, inherited=left)
    params = {"epochs": 9, "lr": 0.2, "batch_size": 4, "lr_quirk": True}
    assert strategy(params).needs == {LocalModel(quirk)}
