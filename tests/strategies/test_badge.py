"""BADGE against gradients that are multiplied out, and norms of another implementation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.needs import LIKE_TASK, LocalModel
from fal_bench.plugins.strategy import Train
from fal_bench.strategies.badge import Badge, EnsBadge, FtBadge, SalBadge

# Squared norms of the gradient embeddings of the model's first 8 samples, as shares of their sum:
# utilities of the first pick of scikit-activeml 1.0.1's Badge. (Its later picks are not k-means++:
# it keeps the squared norm among the distances, as if the origin were a picked point.)
NORM_SHARES = [0.045554, 0.000394, 0.091323, 0.288152, 0.090573, 0.297688, 0.11413, 0.072185]


@pytest.fixture
def model(toy_model):
    rng = np.random.default_rng(42)
    return toy_model(rng.normal(size=(12, 4)).round(2), rng.normal(size=(3, 4)).round(2))


@pytest.fixture
def other(toy_model):
    return toy_model.drawn(np.random.default_rng(1), 12)


def multiplied_out(model, samples=8):
    errors = model.probs - np.eye(3)[model.probs.argmax(axis=1)]
    return np.einsum("nc,nd->ncd", errors, model.embeddings).reshape(12, 12)[:samples]


def picks(strategy, client, budget, draws=3000):
    selected = []
    for seed in range(draws):
        client.rng = np.random.default_rng(seed)
        selected.append(strategy.select(client, budget))
    return np.array(selected)


def test_the_test_multiplies_out_what_scikit_activeml_does(model):
    norms = (multiplied_out(model) ** 2).sum(axis=1)
    np.testing.assert_allclose(norms / norms.sum(), NORM_SHARES, atol=1e-6)


def test_the_first_is_drawn_at_random_and_the_second_by_squared_distance(toy_pool, model):
    pairs = picks(Badge(), toy_pool([0, 1, 2, 2], model), 2)
    assert np.abs(np.bincount(pairs[:, 0]) - 375).max() < 4 * np.sqrt(375)
    squared = cdist(multiplied_out(model), multiplied_out(model), "sqeuclidean")
    expected = (squared / squared.sum(axis=1, keepdims=True)).mean(axis=0) * 3000
    counts = np.bincount(pairs[:, 1], minlength=8)
    assert (np.abs(counts - expected) < 4.5 * np.sqrt(expected)).all()


def test_the_released_code_starts_with_the_largest_norm(toy_pool, model):
    pairs = picks(Badge({"first": "largest-norm"}), toy_pool([0, 1, 2, 2], model), 2)
    assert set(pairs[:, 0]) == {np.argmax(NORM_SHARES)} == {5}
    squared = cdist(multiplied_out(model)[5:6], multiplied_out(model), "sqeuclidean")[0]
    expected = squared / squared.sum() * 3000
    counts = np.bincount(pairs[:, 1], minlength=8)
    assert (np.abs(counts - expected) <= 4.5 * np.sqrt(expected)).all()


def test_sal_badge_does_the_same_under_the_local_model(toy_pool, model, other):
    labels = [0, 1, 2, 2]
    own = SalBadge().select(toy_pool(labels, other, model, seed=3), 5)
    np.testing.assert_array_equal(own, Badge().select(toy_pool(labels, model, other, seed=3), 5))
    under_other = Badge().select(toy_pool(labels, other, model, seed=3), 5)
    assert own.tolist() != under_other.tolist()


def test_ens_badge_draws_on_the_mean_of_both_models_gradients(toy_pool, model, other):
    mean = (multiplied_out(model) + multiplied_out(other)) / 2
    pairs = picks(EnsBadge({"first": "largest-norm"}), toy_pool([0, 1, 2, 2], model, other), 2, 999)
    assert set(pairs[:, 0]) == {(mean**2).sum(axis=1).argmax()}
    squared = cdist(mean[pairs[:1, 0]], mean, "sqeuclidean")[0]
    expected = squared / squared.sum() * 999
    assert (np.abs(np.bincount(pairs[:, 1], minlength=8) - expected) <= 4.5 * expected**0.5).all()


def test_ft_badge_trains_from_the_global_model_and_looks_through_the_result(toy_pool, model, other):
    client = toy_pool([0, 1, 2, 2], other, seed=3)
    selecting = FtBadge({"epochs": 7}).select(client, 5)
    assert next(selecting) == Train(replace(LIKE_TASK, epochs=7), start=other)
    with pytest.raises(StopIteration) as stop:
        selecting.send(model)
    expected = Badge().select(toy_pool([0, 1, 2, 2], model, seed=3), 5)
    np.testing.assert_array_equal(stop.value.value, expected)


def test_parameters():
    training = replace(LIKE_TASK, epochs=9)
    assert SalBadge({"epochs": 9, "first": "largest-norm"}).needs == {LocalModel(training)}
    assert not Badge().needs
    with pytest.raises(InvalidSpecError, match=r"'first'.*'norm'"):
        Badge({"first": "norm"})
