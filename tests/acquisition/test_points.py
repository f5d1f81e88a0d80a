import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fal_bench.acquisition import points as module
from fal_bench.acquisition.points import (
    OuterProducts,
    Vectors,
    nearest_squared,
    normalised,
    squared_distances,
)


def drawn(seed, n, d):
    return np.random.default_rng(seed).normal(size=(n, d))


@settings(deadline=None)
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
