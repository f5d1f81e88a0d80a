"""k-means against scikit-learn and by hand, and its steps over several clients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from fal_bench.acquisition.clustering import (
    Clustering,
    cluster_sums,
    distinct,
    k_means,
    nearest_centres,
    nearest_to_centres,
    next_centres,
)

GROUPS = np.array([[0, 0], [0, 1], [50, 0], [50, 1], [51, 0], [0, 60]], dtype=np.float32)


def test_far_groups_are_found():
    labels = k_means(GROUPS, 3, np.random.default_rng(0)).labels
    assert labels[0] == labels[1] != labels[5]
    assert len(set(labels[2:5])) == 1
    assert len(set(labels)) == 3


def test_it_is_scikit_learns_k_means_with_one_drawn_seed():
    points = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    seed = int(np.random.default_rng(7).integers(2**31))
    expected = KMeans(5, n_init=2, random_state=seed).fit_predict(points)
    clustering = k_means(points, 5, np.random.default_rng(7), n_init=2)
    np.testing.assert_array_equal(clustering.labels, expected)


def test_large_sets_are_clustered_in_mini_batches():
    rng = np.random.default_rng(0)
    points = (np.arange(300)[:, None] % 3 * 100 + rng.normal(size=(300, 2))).astype(np.float32)
    labels = k_means(points, 3, rng, mini_batch_above=299).labels
    assert all(len(set(labels[start::3])) == 1 for start in range(3))


@pytest.mark.parametrize(
    "points",
    [
        np.ones((5, 3)),
        np.array([[0.0, 0.0], [-0.0, 0.0]]),
        np.array([[0.0], [1e-25], [0.0]], dtype=np.float32),  # distinct, yet one to k-means
    ],
)
def test_duplicates_make_fewer_clusters_and_no_warning(points):
    clustering = k_means(points, 2, np.random.default_rng(0))
    assert len(clustering.labels) == len(points)
    assert set(clustering.labels) == {0}


def test_distinct_rows():
    assert distinct(np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]])) == 2


def test_nearest_to_centres_by_hand():
    points = np.array([[0.0], [4.0], [1.0], [10.0], [3.0]])
    clustering = Clustering(np.array([0, 0, 0, 3, 0]), np.array([[2.0], [9], [9], [9]]))
    # 1 and 3 are both 1 from the centre 2: the earlier one. Clusters 1 and 2 are empty.
    assert nearest_to_centres(points, clustering).tolist() == [2, 3]


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
def test_any_count_on_points_with_duplicates(n, count, seed):
    rng = np.random.default_rng(seed)
    clustering = k_means(rng.integers(3, size=(n, 2)).astype(np.float32), count, rng)
    chosen = nearest_to_centres(clustering.centres[clustering.labels], clustering)
    assert len(chosen) == len(set(clustering.labels)) <= min(n, count)


@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 6))
def test_the_nearest_centre_against_scipy(seed, n, k):
    rng = np.random.default_rng(seed)
    points, centres = rng.normal(size=(n, 3)), rng.normal(size=(k, 3))
    labels, distances = nearest_centres(points, centres)
    np.testing.assert_array_equal(labels, cdist(points, centres).argmin(axis=1))
    np.testing.assert_allclose(distances, cdist(points, centres).min(axis=1))


@given(st.integers(0, 99), st.integers(0, 30), st.integers(0, 30), st.integers(1, 6))
def test_the_sums_of_sites_are_the_sum_over_all_points(seed, first, second, k):
    rng = np.random.default_rng(seed)
    points, centres = rng.normal(size=(first + second, 3)), rng.normal(size=(k, 3))
    sites = [cluster_sums(part, centres) for part in np.split(points, [first])]
    pooled = cluster_sums(points, centres)
    np.testing.assert_allclose(np.sum(sites, axis=0), pooled, atol=1e-4)
    assert pooled[:, -1].sum() == first + second


def test_one_step_is_scikit_learns():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 3))
    start = points[:4]
    expected = KMeans(4, init=start, n_init=1, max_iter=1, tol=0).fit(points)
    moved = next_centres(cluster_sums(points, start), start)
    np.testing.assert_allclose(moved, expected.cluster_centers_, atol=1e-5)


def test_empty_clusters_stay_where_they_are():
    centres = np.array([[0.0], [100.0]])
    moved = next_centres(cluster_sums(np.array([[1.0], [3.0]]), centres), centres)
    assert moved.tolist() == [[2], [100]]
