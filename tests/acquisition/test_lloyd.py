import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from fal_bench.acquisition.clustering import cluster_sums, nearest_centres, next_centres


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 6))
def test_the_nearest_centre_against_scipy(seed, n, k):
    rng = np.random.default_rng(seed)
    points, centres = rng.normal(size=(n, 3)), rng.normal(size=(k, 3))
    labels, distances = nearest_centres(points, centres)
    np.testing.assert_array_equal(labels, cdist(points, centres).argmin(axis=1))
    np.testing.assert_allclose(distances, cdist(points, centres).min(axis=1))


@settings(deadline=None)
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
