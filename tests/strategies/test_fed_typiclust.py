"""Federated TypiClust: the pooled computation it stands for, and its choices by hand."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from fal_bench.strategies._federated_clusters import ClusteredClient, federated_k_means
from fal_bench.strategies.fed_typiclust import FedTypiClust


@pytest.fixture(scope="session")
def selected(federated):
    def make(*clients, budgets, **params):
        federation = federated(*clients, budgets=budgets)
        return [chosen.tolist() for chosen in FedTypiClust(params).select_all(federation)]

    return make


def test_federated_k_means_is_k_means_on_the_pooled_points(federated, toy_model, toy_pool):
    rng = np.random.default_rng(0)
    points = {number: rng.normal(size=(size, 3)) for number, size in enumerate((40, 25, 70))}
    clients = [toy_pool([], toy_model.drawn(rng, 3), index=number) for number in range(3)]
    pooled = np.concatenate(list(points.values()))
    start = pooled[::30]
    expected = KMeans(len(start), init=start, n_init=1, max_iter=7, tol=0).fit(pooled)
    federation = federated(*clients, budgets=(1, 1, 1))
    states = {number: ClusteredClient(client, 1) for number, client in enumerate(clients)}
    for number, state in states.items():
        state.points = points[number]
    centres = federated_k_means(federation, states, start, iterations=7)
    np.testing.assert_allclose(centres, expected.cluster_centers_, atol=1e-5)
    # Seven times 5 centres of 3 coordinates (and a count) in 4 bytes, from and to 3 clients.
    assert federation.bytes_up == 7 * 3 * 5 * 4 * 4
    assert federation.bytes_down == 7 * 3 * 5 * 3 * 4


def test_a_label_at_one_client_covers_the_others_samples(on_a_circle, selected):
    # Both clients have samples around 0 and 60 degrees, and the first has a label at -1. Only the
    # second may buy: around 60, where there is no label, though it has more samples around 0. The
    # mean direction is about 60.6 degrees.
    first = on_a_circle([58, 64, 62, 0, 1, -1], labelled=1)
    second = on_a_circle([60.9, 58, 0.1, 1.2, -0.8], index=1)
    chosen = selected(first, second, budgets=(0, 1), max_clusters=2, min_cluster_size=1)
    assert chosen == [[], [0]]


def test_the_closest_sample_of_those_who_have_budget_left_is_bought(on_a_circle, selected):
    # One cluster at 10 degrees on the mean: 10 at client 1 is closest, then 11 (client 1 again),
    # but its budget is spent, so 8 of client 0.
    first, second = on_a_circle([8, 12.5]), on_a_circle([10, 11, 8.5], index=1)
    assert selected(first, second, budgets=(1, 1), max_clusters=1) == [[0], [0]]
    assert selected(first, second, budgets=(1, 3), max_clusters=1) == [[0], [0, 1, 2]]
    assert selected(first, second, budgets=(2, 0), max_clusters=1) == [[0, 1], []]


def test_the_largest_clusters_come_first_and_small_ones_last(on_a_circle, selected):
    # Around 0: two samples, 45: four, 90: three, all unlabelled.
    client = on_a_circle([0, 1, 44, 45, 46, 45.2, 89, 90, 91.5])
    params = {"max_clusters": 3, "iterations": 20}
    [chosen] = selected(client, budgets=(3,), min_cluster_size=1, **params)
    assert [0 if p < 2 else 1 if p < 6 else 2 for p in chosen] == [1, 2, 0]
    [chosen] = selected(client, budgets=(3,), min_cluster_size=3, **params)
    assert [0 if p < 2 else 1 if p < 6 else 2 for p in chosen] == [1, 2, 1]


def test_clusters_are_as_many_as_there_will_be_labels_shared_by_size(federated, on_a_circle):
    clients = [on_a_circle(range(12), labelled=2), on_a_circle(range(4), labelled=1, index=1)]
    federation = federated(*clients, budgets=(3, 2))
    seen = []
    broadcast = federation.broadcast
    federation.broadcast = lambda message: seen.append(message) or broadcast(message)
    FedTypiClust().select_all(federation)
    assert seen[0].tolist() == [6, 2]  # 3 + 5 labels in proportion 12 to 4
    assert seen[1].shape == (8, 2)


def test_a_client_without_budget_or_samples_takes_part_and_buys_nothing(on_a_circle, selected):
    clients = [on_a_circle([0, 1, 90], labelled=1), on_a_circle([45], labelled=1, index=1)]
    assert selected(*clients, budgets=(1, 0))[1] == []
