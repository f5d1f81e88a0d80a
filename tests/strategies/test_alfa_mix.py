"""ALFA-Mix against mixing feature by feature with gradients by differentiation, and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from fal_bench.strategies.alfa_mix import AlfaMix, flipping_points

# Two classes, one feature each: the prediction is the larger feature. The gradient of the loss has
# the direction (-1, 1) / sqrt(2) for class 0, so a sample flips after moving lead / sqrt(2).
HEAD = np.eye(2)


def mixed_predictions_change(model, anchors, epsilon, samples):
    """Mix as the paper writes it, and predict; any anchor that changes the prediction counts."""
    head = torch.tensor(model.weight, dtype=torch.float64)
    points = torch.tensor(model.embeddings[:samples], dtype=torch.float64, requires_grad=True)
    logits = points @ head.T + torch.tensor(model.bias)
    predicted = logits.argmax(1)
    torch.nn.functional.cross_entropy(logits, predicted, reduction="sum").backward()
    gradient, points = points.grad, points.detach()
    changed = torch.zeros(samples, dtype=torch.bool)
    for anchor in torch.tensor(np.asarray(anchors)):
        offset = anchor - points
        scale = epsilon * offset.norm(dim=1, keepdim=True) / gradient.norm(dim=1, keepdim=True)
        alpha = torch.where(offset == 0, 0, scale * gradient / offset)
        mixture = alpha * anchor + (1 - alpha) * points
        changed |= (mixture @ head.T + torch.tensor(model.bias)).argmax(1) != predicted
    return changed.numpy()


@given(st.integers(0, 9999), st.integers(2, 5), st.floats(0.01, 3), st.booleans())
def test_flips_against_mixing(toy_model, seed, n_classes, epsilon, with_zeros):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(10, 4)).astype(np.float32)
    anchors = rng.normal(size=(3, 4))
    if with_zeros:  # features that agree with an anchor's stay where they are
        embeddings, anchors = np.maximum(embeddings, 0), np.maximum(anchors, 0)
        assume((np.abs(embeddings).sum(axis=1) > 0).all())
    model = toy_model(embeddings, rng.normal(size=(n_classes, 4)), bias=rng.normal(size=n_classes))
    flips = flipping_points(
        model.embeddings, model.logits, model.probs, model.weight.astype(float), anchors
    )
    clear = np.abs(flips - epsilon) > 1e-4 * epsilon
    changed = mixed_predictions_change(model, anchors, epsilon, 10)
    np.testing.assert_array_equal((flips < epsilon)[clear], changed[clear])


def test_flips_by_hand(toy_model):
    # Anchor (4, 4); distances 4, 5, 4; leads 4, 3, 1, so steps 4, 3, 1 over sqrt(2). The third
    # agrees with the anchor in feature 0 and only moves in feature 1: its whole lead takes
    # sqrt(2) * 1. The fourth is the anchor itself.
    model = toy_model([[4, 0], [4 - 4, 4 - 3], [4, 3], [4, 4]], HEAD)
    flips = flipping_points(
        model.embeddings, model.logits, model.probs, HEAD, np.array([[4.0, 4.0]])
    )
    # First: feature 0 agrees too, so its lead of 4 takes 4 sqrt(2) over distance 4. Second: lead 1
    # for class 1, step 1 / sqrt(2), distance 5.
    expected = [math.sqrt(2), 1 / math.sqrt(2) / 5, math.sqrt(2), math.inf]
    np.testing.assert_allclose(flips, expected)


def test_a_model_that_is_sure_to_the_last_digit_flips_nothing_and_gives_no_nan(toy_model):
    model = toy_model([[500, 0], [0, 0]], HEAD)
    flips = flipping_points(
        model.embeddings, model.logits, model.probs, HEAD, np.array([[1.0, 2.0]])
    )
    assert flips[0] == np.inf
    assert np.isfinite(flips[1])


@pytest.fixture(scope="session")
def client(toy_model, toy_pool):
    def make(seed=0):
        # Labelled (10, 0) and (0, 10). Leads 0.2, 0.4, 6 and 8; distances to the farther anchor
        # 8.44, 8.63, 11.40 and 12.73. The default epsilon is 0.2 / sqrt(2) = 0.14: the first two
        # flip.
        points = [[2, 1.8], [1.6, 2], [7, 1], [9, 1], [10, 0], [0, 10]]
        return toy_pool([0, 1], toy_model(points, HEAD), seed=seed)

    return make


def test_candidates_are_clustered_and_the_rest_is_random(client):
    assert sorted(AlfaMix().select(client(), 2).tolist()) == [0, 1]
    thirds = [set(AlfaMix().select(client(seed), 3).tolist()) - {0, 1} for seed in range(30)]
    assert {*map(tuple, thirds)} == {(2,), (3,)}


def test_the_released_code_grows_epsilon_before_it_draws_at_random(client):
    flips = AlfaMix()._flips(client())
    # Leads over sqrt(2) times distances. Epsilon grows to 0.283, 0.424, 0.566 and 0.707.
    np.testing.assert_allclose(flips, [0.01676, 0.03276, 0.3721, 0.4444], atol=5e-5)
    released = AlfaMix({"as_released": True})
    counts = [len(released._candidates(flips, 2, budget)) for budget in (1, 2, 3, 4)]
    assert counts == [2, 3, 4, 4]
    assert len(AlfaMix()._candidates(flips, 2, 4)) == 2


def test_the_one_nearest_to_each_centre(toy_model, toy_pool):
    # Unit vectors near the boundary at 42..44 degrees and 46..48: two clusters, their middles.
    angles = np.radians([42, 43, 44, 46, 47, 48, 0, 90])
    model = toy_model(np.stack([np.cos(angles), np.sin(angles)], axis=1), HEAD)
    assert sorted(AlfaMix().select(toy_pool([0, 1], model), 2).tolist()) == [1, 4]


def test_classes_without_labels_are_anchored_at_the_mean_in_the_released_code(toy_model, toy_pool):
    # (2, 1) agrees with each anchor in one feature and moves only in the other: its lead of 1 takes
    # sqrt(2), over a distance of 4. Mixed with the mean (4, 3) it moves in both: 1 / sqrt(2) over
    # sqrt(8). The third class has no labels, and its logit of -27 no say.
    model = toy_model([[2, 1], [6, 1], [2, 5]], [[1, 0], [0, 1], [-9, -9]])
    plain, released = (
        AlfaMix({"as_released": flag})._flips(toy_pool([0, 1], model)) for flag in (False, True)
    )
    np.testing.assert_allclose([*plain, *released], [math.sqrt(2) / 4, 0.25])
