"""Distances, densities and gradients against plain computations; class means."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fal_bench.acquisition import points as module
from fal_bench.acquisition.clustering import class_means
from fal_bench.acquisition.points import (
    MeanProducts,
    OuterProducts,
    Vectors,
    last_layer_gradients,
    mean_neighbour_distance,
    nearest_squared,
    normalised,
    squared_distances,
)


def drawn(seed, n, d):
    return np.random.default_rng(seed).normal(size=(n, d))


@given(st.integers(0, 99), st.integers(1, 8), st.integers(1, 8), st.integers(1, 5))
def test_distances_agree_with_scipy(seed, n, m, d):
    left, right = drawn(seed, n, d), drawn(seed + 1, m, d)
    expected = cdist(left, right, "sqeuclidean")
    np.testing.assert_allclose(squared_distances(Vectors(left), Vectors(right)), expected)


def test_outer_products_agree_with_multiplying_out():
    a, z = drawn(0, 9, 3), drawn(1, 9, 5)
    whole = np.einsum("nc,nd->ncd", a, z).reshape(9, 15)
    points = OuterProducts(a, z)
    np.testing.assert_allclose(points.squared_norms, (whole**2).sum(axis=1))
    np.testing.assert_allclose(
        squared_distances(points.take(slice(2, 7)), points),
        cdist(whole[2:7], whole, "sqeuclidean"),
        atol=1e-12,
    )


def test_means_of_outer_products_agree_with_multiplying_out():
    parts = [(drawn(seed, 9, 3), drawn(seed + 3, 9, 5)) for seed in range(3)]
    whole = np.mean([np.einsum("nc,nd->ncd", *part).reshape(9, 15) for part in parts], axis=0)
    points = MeanProducts([OuterProducts(*part) for part in parts])
    np.testing.assert_allclose(points.squared_norms, (whole**2).sum(axis=1))
    few = points.take(slice(2, 7))
    assert len(few) == 5
    np.testing.assert_allclose(few.inner_products(points), whole[2:7] @ whole.T, atol=1e-12)
    cancelled = MeanProducts([OuterProducts(*parts[0]), OuterProducts(-parts[0][0], parts[0][1])])
    assert (squared_distances(cancelled, cancelled) == 0).all()


def test_identical_points_are_at_distance_zero_whatever_the_rounding():
    far = np.repeat(drawn(0, 3, 40) + 1000, 2, axis=0)
    squared = squared_distances(Vectors(far), Vectors(far))
    assert squared[0, 1] == squared[2, 3] == squared[4, 5] == 0
    assert (squared[::2, ::2] + np.eye(3) > 0).all()


def test_the_nearest_in_blocks_is_the_nearest(monkeypatch):
    points, others = Vectors(drawn(0, 31, 3)), Vectors(drawn(1, 7, 3))
    expected = cdist(points.coordinates, others.coordinates, "sqeuclidean").min(axis=1)
    for block in (1, 20, 10_000):
        monkeypatch.setattr(module, "BLOCK", block)
        np.testing.assert_allclose(nearest_squared(points, others), expected)


def test_without_others_the_nearest_is_infinitely_far():
    points = Vectors(drawn(0, 3, 2))
    assert nearest_squared(points, points.take(slice(0, 0))).tolist() == [np.inf] * 3


def test_rows_of_zeros_stay_zero_when_normalised():
    rows = normalised(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]])


@pytest.mark.parametrize("kind", [Vectors, OuterProducts])
def test_memory_of_the_nearest_is_linear(kind):
    import tracemalloc

    n = 4000  # all distances at once would take 128 MB
    parts = (np.ones((n, 2)), np.ones((n, 2)))[: 2 if kind is OuterProducts else 1]
    points = kind(*parts)
    tracemalloc.start()
    nearest_squared(points, points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 90e6


@given(st.integers(1, 12), st.integers(0, 14), st.integers(0, 99), st.booleans())
def test_mean_distances_against_sorting_all_of_them(n, neighbours, seed, squared):
    points = np.random.default_rng(seed).normal(size=(n, 3))
    distances = np.sort(cdist(points, points, "sqeuclidean" if squared else "euclidean"), axis=1)
    nearest = distances[:, 1 : 1 + neighbours]  # the first is the point itself
    expected = nearest.mean(axis=1) if nearest.size else np.zeros(n)
    found = mean_neighbour_distance(points, neighbours, squared)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_point_is_not_its_own_neighbour_even_if_it_has_twins():
    found = mean_neighbour_distance(np.array([[0.0], [0.0], [3.0]]), 1)
    np.testing.assert_allclose(found, [0, 0, 3], atol=1e-7)


def test_gradients_by_differentiation():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(5, 3)).astype(np.float32)
    weight = torch.tensor(rng.normal(size=(4, 3)), dtype=torch.float32, requires_grad=True)
    logits = torch.tensor(embeddings) @ weight.T
    probs = logits.softmax(1).detach().numpy()

    def differentiated(labels):
        rows = []
        for row, label in zip(logits, labels, strict=True):
            loss = torch.nn.functional.cross_entropy(row[None], label[None])
            (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
            rows.append(gradient.numpy())
        return rows

    def multiplied_out(gradients):
        return np.einsum("nc,nd->ncd", gradients.left.coordinates, gradients.right.coordinates)

    labels = torch.tensor([0, 3, 1, 1, 2])
    np.testing.assert_allclose(
        multiplied_out(last_layer_gradients(embeddings, probs, labels.numpy())),
        differentiated(labels),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        multiplied_out(last_layer_gradients(embeddings, probs)),
        differentiated(logits.argmax(1)),
        atol=1e-6,
    )


def test_class_means_of_the_classes_that_occur():
    points = np.array([[1, 2], [3, 4], [10, 20]], dtype=np.float32)
    classes, means = class_means(points, np.array([7, 7, 2]))
    assert classes.tolist() == [2, 7]
    assert means.tolist() == [[10, 20], [2, 3]]
