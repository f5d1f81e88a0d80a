"""LoGo on toy pools: every step against a value found another way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2
from scipy.stats import entropy

from fal_bench.strategies.logo import (
    LoGo,
    most_uncertain_per_cluster,
    predicted_class_gradients,
)

# Local embeddings: three far groups {0, 1}, {2, 3, 4}, {5}. All local predictions have 0.9 at the
# top, so the gradient embeddings are a tenth of them.
EMBEDDINGS = [[0, 0], [0, 1], [50, 0], [50, 1], [51, 0], [0, 60]]
LOCAL = [[0.9, 0.1]] * 6
# Global entropies grow with the second probability: 1 beats 0, and 4 beats 3 beats 2.
GLOBAL = [[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.99, 0.01]]


@pytest.fixture
def client_of(toy_model, toy_pool):
    def make(embeddings, probs=GLOBAL, local=LOCAL):
        head = np.zeros((len(local[0]), len(embeddings[0])))
        return toy_pool([], *(toy_model(embeddings, head, probs=p) for p in (probs, local)))

    return make


@pytest.fixture
def client(client_of):
    return client_of(EMBEDDINGS)


def test_one_sample_of_each_cluster_the_most_uncertain_under_the_global_model(client):
    assert sorted(LoGo().select(client, 3).tolist()) == [1, 4, 5]


def test_the_whole_pool_can_be_bought(client):
    assert sorted(LoGo().select(client, 6).tolist()) == [0, 1, 2, 3, 4, 5]


def test_duplicates_leave_fewer_clusters_and_still_the_exact_count(client_of):
    client = client_of([[1, 1]] * 5 + [[9, 9]])
    # Two clusters {0..4} and {5}. First pass: 4 and 5. One more of {0..4} by uncertainty: 3, 1.
    assert LoGo().select(client, 4).tolist() in ([4, 5, 3, 1], [5, 4, 3, 1])


def test_gradient_embeddings_by_differentiation():
    """The block of the predicted class is d loss / d w_c = (p_c - 1) z, up to its sign."""
    import torch

    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(5, 3)).astype(np.float32)
    weight = torch.tensor(rng.normal(size=(4, 3)), dtype=torch.float32, requires_grad=True)
    logits = torch.tensor(embeddings) @ weight.T
    expected = []
    for row in logits:
        predicted = row.argmax()[None]
        loss = torch.nn.functional.cross_entropy(row[None], predicted)
        (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
        expected.append(-gradient[predicted.item()].numpy())
    probs = logits.softmax(1).detach().numpy()
    np.testing.assert_allclose(predicted_class_gradients(embeddings, probs), expected, atol=1e-6)


def test_against_an_independent_route(client_of):
    """Well-separated groups: SciPy's k-means, and entropy ranked by SciPy."""
    rng = np.random.default_rng(3)
    centres = np.arange(8)[:, None] * np.array([[40.0, -25.0, 10.0]])
    embeddings = np.repeat(centres, 5, axis=0) + rng.normal(size=(40, 3))
    probs = rng.dirichlet(np.ones(4), size=40)
    local = np.tile([0.6, 0.2, 0.1, 0.1], (40, 1))
    client = client_of(embeddings, probs, local)
    _, groups = kmeans2(embeddings * 0.4, centres * 0.4, minit="matrix")
    uncertainty = entropy(probs.astype(np.float32), axis=1)
    expected = [
        members[np.argmax(uncertainty[members])]
        for members in (np.flatnonzero(groups == label) for label in range(8))
    ]
    assert sorted(LoGo({"n_init": 10}).select(client, 8).tolist()) == sorted(expected)


def test_the_empty_cluster_rule_by_hand():
    clusters = np.array([0, 0, 0, 0, 2, 2, 2])
    uncertainty = np.array([0.1, 0.4, 0.3, 0.2, 0.5, 0.7, 0.6])
    # Two clusters for six labels: first 1 and 5; four are missing, so the next two of each: 2, 3
    # and 6, 4.
    assert most_uncertain_per_cluster(clusters, uncertainty, 6).tolist() == [1, 5, 2, 3, 6, 4]
    # Three missing of two clusters: steps of two, cut off at five.
    assert most_uncertain_per_cluster(clusters, uncertainty, 5).tolist() == [1, 5, 2, 3, 6]
    # One missing: steps of one.
    assert most_uncertain_per_cluster(clusters, uncertainty, 3).tolist() == [1, 5, 2]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 99), st.data())
def test_always_the_exact_count_of_distinct_samples(clusters, seed, data):
    count = data.draw(st.integers(1, len(clusters)))
    uncertainty = np.random.default_rng(seed).random(len(clusters))
    # k-means never makes more clusters than it is asked for.
    labels = np.array(clusters) % count
    chosen = most_uncertain_per_cluster(labels, uncertainty, count)
    assert len(set(chosen.tolist())) == count == len(chosen)


def test_the_learning_rate_quirk_is_a_parameter():
    [plain] = LoGo().needs
    [quirk] = LoGo({"lr_quirk": True}).needs
    assert plain.training.lr_drop_step is None
    assert quirk.training.lr_drop_step == 37
    training = plain.training
    assert (training.epochs, training.batch_size, training.lr) == (200, 64, 0.01)
    assert (training.momentum, training.weight_decay, training.stop_at_accuracy) == (
        0.9,
        1e-5,
        0.99,
    )
