"""Federated ProbCover: against a pooled computation with SciPy, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fal_bench.errors import InvalidSpecError
from fal_bench.strategies._pure_balls import RADII
from fal_bench.strategies.fed_probcover import CoveredClient, FedProbCover


@pytest.fixture(scope="session")
def selected(federated):
    def make(*clients, budgets, **params):
        federation = federated(*clients, budgets=budgets)
        return [chosen.tolist() for chosen in FedProbCover(params).select_all(federation)]

    return make


DEGREE = np.pi / 180  # the chord of a small angle, nearly


def test_the_ball_that_covers_most_in_all_clients_together_wins(on_a_circle, selected):
    # Around 10: three at client 0, two at client 1. Around 50: four at client 0 and none at others.
    # Client 0 proposes 50 (its best), client 1 proposes 10, where 2 + 3 beat 4 + 0. The centroid
    # of 10.5 and 11.5 is 11: client 0's 10.9 is closer than client 1's own samples.
    first = on_a_circle([9.5, 10.2, 10.9, 49, 50, 51, 50.5])
    second = on_a_circle([10.5, 11.5, 80], index=1)
    assert selected(first, second, budgets=(1, 0), delta=2 * DEGREE) == [[4], []]  # no say for 1
    assert selected(first, second, budgets=(1, 1), delta=2 * DEGREE)[0] == [2]


def test_labelled_samples_cover_the_samples_of_other_clients_too(on_a_circle, selected):
    # Around 10 are most samples, but client 1 has a label there: around 50 is bought.
    first = on_a_circle([9, 10, 11, 10.5, 49.5, 50.5])
    second = on_a_circle([80, 10.2], labelled=1, index=1)
    assert selected(first, second, budgets=(1, 0), delta=3 * DEGREE)[0][0] in (4, 5)
    alone = on_a_circle([80, 81], labelled=1, index=1)
    assert selected(first, alone, budgets=(1, 0), delta=3 * DEGREE)[0][0] in (0, 1, 2, 3)


def test_when_everything_is_covered_covering_starts_again(on_a_circle, selected):
    client = on_a_circle([9, 10, 11, 50])
    # The ball around 10 (its mean), then 50; all is covered, so the ball around 10 once more: 9 and
    # 11 are equally close.
    assert selected(client, budgets=(4,), delta=1.5 * DEGREE) == [[1, 3, 0, 2]]


def test_pure_balls_by_hand(on_a_circle):
    # Two k-means clusters, 0..2 and 40..41 degrees. Nearest of the other: 40, 39, 38 and 38, 39.
    state = CoveredClient(on_a_circle([0, 1, 2, 40, 41]), 1)
    counts = state.pure_balls()
    chords = 2 * np.sin(np.radians([40, 39, 38, 38, 39]) / 2)
    assert counts[0] == 5
    assert counts[1:].tolist() == [(chords > radius).sum() for radius in RADII]


def test_delta_is_the_largest_radius_with_pure_balls_over_all_clients(federated, on_a_circle):
    def radius(purity):
        clients = [on_a_circle([0, 1, 2, 40, 41]), on_a_circle([0, 20], index=1)]
        federation = federated(*clients, budgets=(1, 1))
        states = {client.index: CoveredClient(client, 1) for client in clients}
        return FedProbCover({"purity": purity})._radius(federation, states)

    # Chords of 20, 38, 39 (twice each) and 40 degrees: 0.347, 0.651, 0.668 and 0.684.
    assert radius(1.0) == pytest.approx(0.34)
    assert radius(5 / 7) == pytest.approx(0.65)
    assert radius(1 / 7) == pytest.approx(0.68)


def test_one_cluster_alone_is_pure_whatever_the_radius(on_a_circle):
    client = on_a_circle([5, 5, 5])
    assert CoveredClient(client, 1).pure_balls().tolist() == [3] * (1 + len(RADII))


def test_delta_as_a_parameter(federated, on_a_circle):
    federation = federated(on_a_circle([1, 2]), budgets=(1,))
    assert FedProbCover({"delta": 0.3})._radius(federation, {}) == 0.3
    assert federation.bytes_up == 0
    with pytest.raises(InvalidSpecError, match="'delta' cannot be 0"):
        FedProbCover({"delta": 0})


def other_way(clients, budgets, delta):
    """The same choices by loops over all samples, with SciPy's distances."""
    points = [
        np.concatenate([c.embeddings(c.global_model), c.embeddings(c.global_model, c.labelled)])
        for c in clients
    ]
    points = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in points]
    counts = [len(c.unlabelled) for c in clients]
    labelled = [rows[n:] for rows, n in zip(points, counts, strict=True)]
    announced = np.concatenate(
        [
            [rows[cdist([x], rows)[0] <= delta].mean(axis=0) for x in own]
            for rows, own in zip(points, labelled, strict=True)
        ]
    ).astype(np.float32)
    covered = [
        (cdist(rows, np.concatenate([announced, own])) <= delta).any(axis=1)
        for rows, own in zip(points, labelled, strict=True)
    ]
    chosen = [[] for _ in clients]

    def for_sale(k):
        left = [i for i in range(counts[k]) if i not in chosen[k]]
        return left if len(chosen[k]) < budgets[k] else []

    def proposals():
        found = []
        for k, rows in enumerate(points):
            if for_sale(k) and not covered[k].all():
                near = (cdist(rows, rows) <= delta) & ~covered[k]
                found.append(rows[near[near.sum(axis=1).argmax()]].mean(axis=0))
        return np.array(found, dtype=np.float32)

    for _ in range(sum(budgets)):
        centres = proposals()
        if len(centres) == 0:
            covered = [np.zeros(len(rows), dtype=bool) for rows in points]
            centres = proposals()
        pooled, free = np.concatenate(points), ~np.concatenate(covered)
        best = centres[(cdist(centres, pooled[free]) <= delta).sum(axis=1).argmax()]
        offers = [
            (np.sum((points[k][i] - best) ** 2), k, i)
            for k in range(len(clients))
            for i in for_sale(k)
        ]
        closest, k, _ = min(offers)
        chosen[k].append(min(i for d, j, i in offers if j == k and d < closest + 1e-6))
        covered = [
            own | (cdist(rows, [best])[:, 0] <= delta)
            for own, rows in zip(covered, points, strict=True)
        ]
    return chosen


@given(st.integers(0, 9999), st.floats(0.2, 1.5))
def test_against_a_pooled_computation(selected, toy_model, toy_pool, seed, delta):
    rng = np.random.default_rng(seed)
    sizes, budgets = rng.integers(4, 15, size=3), rng.integers(0, 4, size=3).tolist()
    clients = [
        toy_pool([0] * int(rng.integers(1, 3)), toy_model.drawn(rng, size), index=k)
        for k, size in enumerate(sizes)
    ]
    budgets = [min(b, len(c.unlabelled)) for b, c in zip(budgets, clients, strict=True)]
    assert selected(*clients, budgets=budgets, delta=delta) == other_way(clients, budgets, delta)


def test_messages_are_counted(federated, on_a_circle):
    clients = [on_a_circle([0, 30, 60]), on_a_circle([20], labelled=1, index=1)]
    federation = federated(*clients, budgets=(1, 0))
    FedProbCover({"delta": 0.1}).select_all(federation)
    # Up: two sizes (8 bytes), one announced centroid (2 x 4), one proposal (2 x 4), two answers of
    # 2 x 4. Down, to two clients: the announced, the proposed, and winner and buyer (2 x 4).
    assert federation.bytes_up == 16 + 8 + 8 + 16
    assert federation.bytes_down == 2 * (8 + 8 + 8)
