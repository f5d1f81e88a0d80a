"""IFAL: votes, distances and threshold against SciPy and enumeration, and its fallbacks."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from fal_bench.acquisition.points import normalised
from fal_bench.plugins.needs import DistilledModel
from fal_bench.strategies.ifal import (
    IFAL,
    neighbour_votes,
    neighbours_in,
    otsu_threshold,
    sorted_distance,
    total_variation,
)


def drawn(seed, n, kinds=4):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(kinds), n), rng.dirichlet(np.ones(kinds), n)


def test_the_published_distance_is_scipys_of_the_vectors_as_samples():
    left, right = drawn(0, 30)
    expected = [wasserstein_distance(p, q) for p, q in zip(left, right, strict=True)]
    np.testing.assert_allclose(sorted_distance(left, right), expected, atol=1e-12)


def test_only_the_other_distance_knows_the_classes():
    left, right = np.array([[0.7, 0.2, 0.1]]), np.array([[0.1, 0.2, 0.7]])
    assert sorted_distance(left, right)[0] == pytest.approx(0)
    assert total_variation(left, right)[0] == pytest.approx(0.6)


@given(st.lists(st.floats(-1e3, 1e3) | st.integers(0, 3).map(float), min_size=1, max_size=20))
def test_otsu_against_trying_every_threshold(values):
    values = np.array(values)

    def within(threshold):
        parts = (values[values <= threshold], values[values > threshold])
        return sum(part.var() * len(part) for part in parts if len(part))

    found = otsu_threshold(values)
    assert found in values
    assert within(found) <= min(map(within, values)) + 1e-6 * values.var() * len(values) + 1e-9


def test_otsu_by_hand():
    assert otsu_threshold(np.array([5.0, 1, 2, 6, 1])) == 2
    assert otsu_threshold(np.array([3.0, 3, 3])) == 3
    assert otsu_threshold(np.array([3.0])) == 3
    # 0 | 1 2 and 0 1 | 2 are equally good: the lower one.
    assert otsu_threshold(np.array([2.0, 0, 1])) == 0


def votes_plainly(labelled, pool, classes, n_classes, neighbours):
    votes = np.ones((len(pool), n_classes))
    points = np.concatenate([labelled, pool])
    for voter, kind in enumerate(classes):
        own = voter - len(labelled)
        others = [i for i in range(len(pool)) if i != own]
        far = cdist(points[voter][None], pool)[0]
        for near in sorted(others, key=lambda i: (round(far[i], 9), i))[:neighbours]:
            votes[near, kind] += 1
    return votes / votes.sum(axis=1, keepdims=True)


@given(
    st.integers(0, 999), st.integers(0, 5), st.integers(1, 12), st.integers(1, 14), st.booleans()
)
def test_votes_against_casting_them_one_by_one(seed, m, n, neighbours, repeated):
    rng = np.random.default_rng(seed)
    points = normalised(rng.normal(size=(m + n, 3)))
    if repeated:
        points = points[rng.integers(max((m + n) // 2, 1), size=m + n)]
    sets = [rng.integers(3, size=m + n) for _ in range(2)]
    found = neighbour_votes(points[:m], points[m:], sets, 3, neighbours)
    for own, classes in zip(found, sets, strict=True):
        expected = votes_plainly(points[:m], points[m:], classes, 3, neighbours)
        np.testing.assert_allclose(own, expected, atol=1e-12)


def test_published_neighbourhoods_in_published_pools():
    assert [neighbours_in(250, n) for n in (50_000, 4750, 2500)] == [250, 250, 250]
    assert [neighbours_in(250, n) for n in (180, 10, 1)] == [18, 1, 1]


@pytest.fixture(scope="session")
def client_of(table_client):
    def make(seed=0, n=60, m=8, kinds=3, d=4):
        rng = np.random.default_rng(seed)
        models = ("global", "previous", "distilled")
        return table_client(
            {name: 2 * rng.normal(size=(n, kinds)) for name in models},
            labels=rng.integers(kinds, size=m),
            embeddings={name: rng.normal(size=(n, d)) for name in models},
            labelled={name: (np.zeros((m, kinds)), rng.normal(size=(m, d))) for name in models},
            seed=seed,
        )

    return make


@pytest.mark.parametrize("distance", ["published", "class-aware"])
def test_the_inconsistencies_by_an_independent_route(distance, client_of):
    client = client_of()  # 60 samples: a tenth is less than seven
    models, data = IFAL({"neighbours": 7, "distance": distance})._inconsistencies(client)

    def plainly(name, predictions_of):
        model, other = (getattr(client, f"{own}_model") for own in (name, predictions_of))
        predicted = client.probs(other).argmax(axis=1)
        return votes_plainly(
            normalised(client.embeddings(model, client.labelled)),
            normalised(client.embeddings(model)),
            [*client.labels, *predicted],
            3,
            6,
        )

    def between(left, right):
        if distance == "published":
            return np.array([wasserstein_distance(p, q) for p, q in zip(left, right, strict=True)])
        # The largest difference in the probability of any set of the three classes.
        sets = np.array(list(itertools.product((0, 1), repeat=3)))
        return ((left - right) @ sets.T).max(axis=1)

    distilled = plainly("distilled", "global")
    ll = between(plainly("previous", "global"), distilled)
    gl = between(plainly("global", "global"), distilled)
    slack = 1e-5
    expected = np.maximum(gl / (ll + slack), ll / (gl + slack)) * (ll + gl)
    np.testing.assert_allclose(models, expected, rtol=1e-6)
    own = between(plainly("previous", "previous"), client.probs(client.previous_model))
    np.testing.assert_allclose(data, own, rtol=1e-5)


@pytest.fixture
def scored(monkeypatch, client_of):
    """Return a function that selects under given U1 and U2, with points on a circle."""

    def select(models, data, budget, angles=None, seed=0):
        n = len(models)
        angles = np.linspace(0, 6, n) if angles is None else np.asarray(angles)
        client = client_of(seed, n=n)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        client.previous_model.embeddings = circle.astype(np.float32)
        scores = np.asarray(models, float), np.asarray(data, float)
        monkeypatch.setattr(IFAL, "_inconsistencies", lambda *_: scores)
        return IFAL().select(client, budget).tolist()

    return select


def test_one_candidate_of_each_cluster_the_nearest_to_its_centre(scored):
    # Candidates 1 to 6 in two far groups of three; the middle one of each is at the centre.
    angles = [9, 0.0, 0.1, 0.2, 3.0, 3.1, 3.2, 9]
    chosen = scored([0, 8, 8, 8, 8, 8, 8, 0.1], np.ones(8), 2, angles)
    assert sorted(chosen) == [2, 5]


def test_too_few_candidates_by_both_scores_are_sought_by_the_first_alone(scored):
    # The product lifts only sample 0 over the threshold, U1 alone the samples 0 to 2.
    models, data = [5, 5, 5, 0, 0], [9, 1, 1, 1, 1]
    assert scored(models, data, 1) == [0]
    assert sorted(scored(models, data, 3)) == [0, 1, 2]


def test_with_too_few_of_them_too_the_largest_products_are_taken(scored):
    assert scored([5, 5, 5, 0.1, 0], [9, 1, 2, 1, 1], 4) == [0, 2, 1, 3]


def test_duplicates_make_too_few_clusters_and_fall_back(scored):
    # Six candidates at two places: two clusters for three labels.
    angles = [0, 0, 0, 2, 2, 2, 4]
    assert scored([1, 2, 3, 4, 5, 6, 0], [1, 1, 1, 1, 1, 1, 0], 3, angles) == [5, 4, 3]


def test_memory_is_linear_in_the_pool():
    pool = normalised(np.random.default_rng(0).normal(size=(8000, 4)))
    tracemalloc.start()
    neighbour_votes(pool[:5], pool, [np.zeros(8005, dtype=np.int64)], 3, 250)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6  # all distances would take 512 MB


def test_in_a_federation(tiny, blobs, run):
    [need] = IFAL({"epochs": 30, "lr_share": 0.05}).needs
    assert isinstance(need, DistilledModel)
    assert (need.training.epochs, need.training.lr_share, need.training.patience) == (30, 0.05, 5)
    assert IFAL().needs == {DistilledModel()}
    journal = run(tiny, lambda: IFAL({"epochs": 5}), blobs)
    assert [row.labels for row in journal.rows] == [12, 18, 24, 30]
