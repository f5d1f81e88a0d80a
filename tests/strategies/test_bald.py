"""BALD against networks that PyTorch computes, a worked example, and scikit-activeml's score."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fal_bench.errors import InvalidSpecError
from fal_bench.strategies.bald import BALD


def by_torch(model, samples, share, draws, seed):
    """Return the predictions of networks whose units before the head are dropped."""
    rng = np.random.default_rng(seed)
    head = model.module().head
    predictions = []
    for _ in range(draws):
        kept = torch.from_numpy(rng.random(head.weight.shape[1]) >= share)
        inputs = torch.from_numpy(model.embeddings[:samples]) * kept / (1 - share)
        predictions.append((inputs @ head.weight.T + head.bias).softmax(1).double().numpy())
    return np.array(predictions)


def information(predictions):
    """Mutual information as the mean divergence of each prediction from their mean."""
    mean = predictions.mean(axis=0)
    return (predictions * np.log(predictions / mean)).sum(axis=2).mean(axis=0)


@pytest.fixture
def model(toy_model):
    rng = np.random.default_rng(3)
    return toy_model(rng.normal(size=(30, 6)), rng.normal(size=(4, 6)), bias=rng.normal(size=4))


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_it_is_the_mean_divergence_from_the_mean_prediction(toy_pool, model, share):
    strategy = BALD({"draws": 9, "dropout": share})
    chosen = strategy.select(toy_pool([0, 1], model, seed=5), 28)
    scores = information(by_torch(model, 28, share, 9, 5))
    np.testing.assert_allclose(scores[chosen], np.sort(scores)[::-1], rtol=1e-4, atol=1e-7)


def test_scikit_activeml_gives_the_same_score(toy_pool, model):
    pool = pytest.importorskip("skactiveml.pool")
    predictions = by_torch(model, 28, 0.5, 20, 1)
    scores = pool.batch_bald(predictions, 1, random_state=0)[0]
    chosen = BALD().select(toy_pool([0, 1], model, seed=1), 5)
    assert chosen.tolist() == np.argsort(-scores)[:5].tolist()


def test_by_hand_what_no_unit_decides_is_last(toy_pool, toy_model):
    # Of two units each speaks for one class. With a half dropped, the first sample is decided by
    # whichever unit is left, the second by its only one or by none, the third by nothing.
    model = toy_model([[9, 9], [0, 9], [0, 0]], np.eye(2))
    chosen = BALD({"draws": 400}).select(toy_pool([], model), 3)
    assert chosen.tolist() == [0, 1, 2]


def test_the_models_own_dropout_is_the_default(toy_pool, model, monkeypatch):
    def picks(**params):
        return BALD(params).select(toy_pool([0, 1], model), 20).tolist()

    assert picks() == picks(dropout=0.5)
    head = model.module().head
    trained = SimpleNamespace(head=head, dropout=SimpleNamespace(share=0.1))
    monkeypatch.setattr(model, "module", lambda: trained)
    assert picks() == picks(dropout=0.1) != picks(dropout=0.5)
    with pytest.raises(InvalidSpecError, match="dropout"):
        BALD({"dropout": 1})
