"""fed-mass against an implementation that pools all samples, and its choices by hand."""

import numpy as np
import pytest

from fal_bench.strategies.fed_mass import FedMass, FedMassParams


def pooled(clients, gamma, count, iterations):
    """Return centres, masses and labels of weighted k-means from pooled samples."""
    points, weights, labels = [], [], []
    for client in clients:
        model, n = client.global_model, len(client.unlabelled)
        probs = np.sort(model.probs[:n].astype(float), axis=1)
        weights += [(1 - (row[-1] - row[-2])) ** gamma for row in probs] + [1.0] * len(
            client.labelled
        )
        points += [row / np.linalg.norm(row) for row in model.embeddings.astype(float)]
        labels += [0] * n + [1] * len(client.labelled)
    points, weights, labels = map(np.array, (points, weights, labels))
    centres = count.copy()
    for step in range(iterations + 1):
        nearest = ((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)
        if step == iterations:
            break
        for cluster in set(nearest.tolist()):
            own = nearest == cluster
            centres[cluster] = np.average(points[own], axis=0, weights=weights[own])
    mass = np.array([weights[nearest == cluster].sum() for cluster in range(len(centres))])
    held = np.array([labels[nearest == cluster].sum() for cluster in range(len(centres))])
    return centres, mass, held


def bought(clients, budgets, centres, mass, held):
    """Buy one label at a time: fewest labels, most mass, the closest sample of its cluster."""
    samples = []
    for client in clients:
        for position in client.unlabelled:
            row = client.global_model.embeddings[position].astype(float)
            distances = np.linalg.norm(row / np.linalg.norm(row) - centres, axis=1)
            samples.append((client.index, int(position), distances.argmin(), distances.min()))
    left, chosen = list(budgets), [[] for _ in clients]
    while any(left):
        offered = [one for one in samples if left[one[0]] and one[1] not in chosen[one[0]]]
        cluster = min({one[2] for one in offered}, key=lambda c: (held[c], -mass[c]))
        index, position, _, _ = min(
            (one for one in offered if one[2] == cluster), key=lambda one: one[3]
        )
        chosen[index].append(position)
        left[index] -= 1
        held[cluster] += 1
    return chosen


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_weighted_k_means_on_the_pooled_samples(federated, toy_pool, toy_model, gamma, seed):
    rng = np.random.default_rng(seed)
    clients = [
        toy_pool([0] * held, toy_model.drawn(rng, size, d=3), index=number)
        for number, (size, held) in enumerate(((30, 4), (18, 2), (24, 1)))
    ]
    budgets = (3, 2, 4)
    federation = federated(*clients, budgets=budgets)
    sent = []
    broadcast = federation.broadcast
    federation.broadcast = lambda message: sent.append(message) or broadcast(message)
    chosen = FedMass({"gamma": gamma}).select_all(federation)
    start = sent[1].astype(float)  # the first broadcast has the shares
    expected = bought(clients, budgets, *pooled(clients, gamma, start, FedMassParams().iterations))
    assert [own.tolist() for own in chosen] == expected


def test_uncertain_mass_comes_first_and_what_is_sure_has_no_weight(federated, toy_pool, toy_model):
    angles = np.radians([0, 1, 2, 3, 90, 91])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    probs = [[0.99, 0.01]] * 4 + [[0.5, 0.5]] * 2
    client = toy_pool([], toy_model(points, np.eye(2), probs=probs))

    def first(**params):
        federation = federated(client, budgets=(2,))
        [chosen] = FedMass({"max_clusters": 2, **params}).select_all(federation)
        return int(chosen[0])

    assert first(gamma=0) < 4 <= first(gamma=2)
    assert first(gamma=2, order="mass") >= 4
