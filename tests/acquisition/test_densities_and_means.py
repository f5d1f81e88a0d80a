import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fal_bench.acquisition.clustering import class_means
from fal_bench.acquisition.points import last_layer_gradients, mean_neighbour_distance


@settings(deadline=None)
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
