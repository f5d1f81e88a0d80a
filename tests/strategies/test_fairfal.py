"""FairFAL: its parts by hand, and the whole against another way of computing it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import entropy

from fal_bench.strategies.fairfal import (
    FairFAL,
    class_quotas,
    global_balance,
    mean_prediction,
    pseudo_labels,
    relative_difference,
)

EYE = np.eye(3)


@pytest.fixture(scope="session")
def given_probs(toy_model):
    def make(unlabelled, labelled, embeddings=None):
        table = [*unlabelled, *labelled]
        embeddings = np.ones((len(table), 3)) if embeddings is None else embeddings
        return toy_model(embeddings, EYE, probs=table)

    return make


def test_every_class_weighs_the_same_and_absent_ones_are_left_out_of_the_balance(
    given_probs, toy_pool
):
    # Class 0 twice: mean (.8 .1 .1); class 2 once: (.2 .2 .6). Mean of the two: (.5 .15 .35).
    model = given_probs([], [[0.9, 0, 0.1], [0.7, 0.2, 0.1], [0.2, 0.2, 0.6]])
    client = toy_pool([0, 0, 2], model)
    prediction, classes = mean_prediction(client, model)
    np.testing.assert_allclose(prediction, [0.5, 0.15, 0.35], atol=1e-7)
    assert classes.tolist() == [0, 2]
    assert global_balance(client) == pytest.approx(0.35 / 0.5)


def test_the_balance_is_the_mean_over_clients_counted_and_kept(federated, given_probs, toy_pool):
    halves = [given_probs([[1, 0, 0]], [[p, 1 - p, 0], [p, 1 - p, 0]]) for p in (0.5, 0.8)]
    clients = [toy_pool([0, 1], model, index=number) for number, model in enumerate(halves)]
    federation = federated(*clients, budgets=(1, 1))
    FairFAL().select_all(federation)
    assert federation.memory["balance"] == pytest.approx((1 + 0.25) / 2)
    assert (federation.bytes_up, federation.bytes_down) == (16, 16)
    later = federated(*clients, budgets=(1, 1), memory={"balance": 0.1})
    FairFAL().select_all(later)
    assert later.memory["balance"] == 0.1
    assert (later.bytes_up, later.bytes_down) == (0, 0)


def test_relative_difference_by_hand():
    left, right = np.array([0.6, 0.4, 0.0]), np.array([0.2, 0.8, 0.0])
    assert relative_difference(left, right) == pytest.approx((0.5 + 1 / 3 + 0) / 3)


def test_pseudo_labels_by_hand(toy_model, toy_pool):
    # Directions: class 0 between (1, 0, 0) and (0, 1, 0) whatever the lengths, class 2 (0, 0, 1).
    points = [[5, 4, 0], [0, 1, 9], [1, 1, 1.3], [9, 0, 0], [0, 1, 0], [0, 0, 2]]
    client = toy_pool([0, 0, 2], toy_model(points, EYE))
    # (1, 1, 1.3): 2 / sqrt(2) = 1.41 against 1.3, so class 0.
    assert pseudo_labels(client).tolist() == [0, 2, 0]


@pytest.mark.parametrize(
    ("sizes", "budget", "expected"),
    [
        ((9, 9, 9), 6, (2, 2, 2)),
        ((3, 9, 5), 7, (2, 3, 2)),  # the remainder goes to the largest
        ((3, 9, 5), 8, (2, 3, 3)),
        ((0, 9, 5), 6, (0, 3, 3)),  # two are left over: one each, the largest first
        ((0, 9, 5), 7, (0, 4, 3)),  # 2 + remainder 1 for class 1; two left over: one each
        ((1, 2, 9), 12, (1, 2, 9)),
        ((4, 4, 0), 1, (1, 0, 0)),
    ],
)
def test_quotas_by_hand(sizes, budget, expected):
    pseudo = np.repeat(np.arange(3), sizes)
    assert class_quotas(pseudo, 3, budget).tolist() == list(expected)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.data())
def test_quotas_spend_the_budget_and_never_more_than_there_is(pseudo, data):
    budget = data.draw(st.integers(1, len(pseudo)))
    quotas = class_quotas(np.array(pseudo), 7, budget)
    sizes = np.bincount(pseudo, minlength=7)
    assert quotas.sum() == budget
    assert (quotas <= sizes).all()
    # Even, but for those that are full; the remainder and what is left over both start with the
    # largest classes, which may so be two ahead.
    assert all(quotas[c] >= quotas.max() - 2 for c in range(7) if quotas[c] < sizes[c])


def other_way(client, budget, gamma, threshold=0.75, oversampling=4):
    """The paper's steps with SciPy, gradients multiplied out, and loops."""
    ours, own = client.global_model, client.local_model
    n, labels = len(client.unlabelled), client.labels

    def balanced(model):
        classes = [model.probs[n:][labels == label].astype(float) for label in set(labels)]
        same = np.lcm.reduce(
            [len(rows) for rows in classes]
        )  # upsampled until nothing is left over
        rows = np.concatenate([np.repeat(rows, same // len(rows), axis=0) for rows in classes])
        return np.mean(rows, axis=0)

    ours_mean, own_mean = balanced(ours), balanced(own)
    d = np.mean(np.abs(ours_mean - own_mean) / (ours_mean + own_mean))
    source = ours if 1 - 0.5 * d - 0.5 * gamma > threshold else own
    scores = entropy(source.probs[:n].astype(float), axis=1) / np.log(client.n_classes)

    present = sorted(set(labels.tolist()))
    units = ours.embeddings / np.linalg.norm(ours.embeddings, axis=1, keepdims=True)
    prototypes = [units[n:][labels == label].mean(axis=0) for label in present]
    pseudo = np.array(present)[cdist(units[:n], prototypes, "cosine").argmin(axis=1)]

    model = ours if gamma < 0.5 else own
    truth = np.concatenate([model.probs[:n].argmax(axis=1), labels])
    errors = np.eye(client.n_classes)[truth] - model.probs
    gradients = np.einsum("nc,nd->ncd", errors, ours.embeddings).reshape(len(truth), -1)

    chosen = []
    for label, quota in enumerate(class_quotas(pseudo, client.n_classes, budget)):
        bucket = sorted(np.flatnonzero(pseudo == label), key=lambda i: -scores[i])
        bucket = bucket[: oversampling * quota]
        centres = [n + i for i in np.flatnonzero(labels == label)]
        for _ in range(quota):
            far = cdist(gradients[bucket], gradients[centres]).min(axis=1)
            centres.append(bucket[far.argmax()])
            chosen.append(bucket[far.argmax()])
            bucket.remove(centres[-1])
    return chosen


@given(st.integers(0, 9999), st.integers(1, 20), st.sampled_from([0.05, 0.3, 0.49, 0.51, 0.9]))
def test_the_whole_against_another_way(federated, toy_model, toy_pool, seed, budget, gamma):
    rng = np.random.default_rng(seed)
    labels = np.array([0, 1, 2, *rng.integers(3, size=5)])
    ours, own = toy_model.drawn(rng, 28), toy_model.drawn(rng, 28)
    client = toy_pool(labels, ours, own)
    federation = federated(client, budgets=(budget,), memory={"balance": gamma})
    [chosen] = FairFAL().select_all(federation)
    assert chosen.tolist() == other_way(client, budget, gamma)


def test_either_model_may_tell_what_is_uncertain(toy_model, toy_pool):
    """So that the test above sees both sides of the switch."""
    seen = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ours, own = toy_model.drawn(rng, 28), toy_model.drawn(rng, 28)
        client = toy_pool([0, 1, 2, 0, 1, 2, 0, 1], ours, own)
        seen.add(FairFAL()._uncertain_model(client, 0.05) is ours)
    assert seen == {True, False}
