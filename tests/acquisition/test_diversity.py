"""k-centre greedy and k-means++ against plain computations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fal_bench.acquisition.diversity import k_centre_greedy, k_means_plus_plus
from fal_bench.acquisition.points import OuterProducts, Vectors

NOTHING = Vectors(np.empty((0, 1)))


def on_a_line(*values):
    return Vectors(np.array(values, dtype=float)[:, None])


def test_by_hand():
    # Anchor 0: 10 is farthest, then 5 (5 from both); then 2.5 and 7.5 tie and the earlier wins.
    points = on_a_line(1, 2.5, 5, 7.5, 10)
    assert k_centre_greedy(points, 4, on_a_line(0)).tolist() == [4, 2, 1, 3]


def test_without_anchors_the_first_point_comes_first():
    assert k_centre_greedy(on_a_line(4, 5, 9), 2, NOTHING).tolist() == [0, 2]


def test_identical_points_are_picked_once_each_in_order():
    points = on_a_line(*[3] * 5)
    assert k_centre_greedy(points, 5, on_a_line(3)).tolist() == [0, 1, 2, 3, 4]


@given(st.integers(0, 99), st.integers(1, 12), st.integers(0, 4), st.data())
def test_against_brute_force(seed, n, m, data):
    """All distances at every step, on points that are multiplied out."""
    count = data.draw(st.integers(1, n))
    rng = np.random.default_rng(seed)
    a, z = rng.normal(size=(n + m, 3)), rng.normal(size=(n + m, 4))
    whole = np.einsum("nc,nd->ncd", a, z).reshape(n + m, 12)
    expected = []
    for _ in range(count):
        centres = [*expected, *range(n, n + m)]
        far = cdist(whole[:n], whole[centres]).min(axis=1) if centres else np.array([1.0])
        far[expected] = -1
        expected.append(int(far.argmax()))
    points = OuterProducts(a, z)
    chosen = k_centre_greedy(points.take(slice(0, n)), count, points.take(slice(n, n + m)))
    assert chosen.tolist() == expected


def seeds(points, count, draws, **options):
    return np.array(
        [
            k_means_plus_plus(points, count, np.random.default_rng(seed), **options)
            for seed in range(draws)
        ]
    )


def test_the_first_point_is_uniform_and_the_others_go_by_squared_distance():
    points = Vectors(np.array([[0.0], [1.0], [3.0]]))
    pairs = seeds(points, 2, 4000)
    first = np.bincount(pairs[:, 0], minlength=3) / 4000
    np.testing.assert_allclose(first, 1 / 3, atol=4 * 0.0075)
    # From 0: 1 with weight 1 and 3 with weight 9; from 1: 1 and 4; from 3: 9 and 4.
    for start, chance in ((0, [0, 0.1, 0.9]), (1, [0.2, 0, 0.8]), (2, [9 / 13, 4 / 13, 0])):
        second = pairs[pairs[:, 0] == start, 1]
        share = np.bincount(second, minlength=3) / len(second)
        np.testing.assert_allclose(share, chance, atol=4 * 0.0137)


def test_the_third_point_goes_by_the_distance_to_the_nearer_of_two():
    # After 0 and 10: 1 is 1 from the nearer, 8 is 2 from it: chances 1/5 and 4/5.
    points = Vectors(np.array([[0.0], [10.0], [1.0], [8.0]]))
    drawn = seeds(points, 3, 6000)
    after = drawn[(drawn[:, 0] == 0) & (drawn[:, 1] == 1), 2]
    assert np.mean(after == 3) == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / len(after)))


def test_the_largest_norm_can_come_first():
    points = OuterProducts(np.array([[1.0], [2.0], [-3.0]]), np.array([[2.0], [2.0], [1.0]]))
    assert set(seeds(points, 2, 20, first="largest-norm")[:, 0]) == {1}


def test_identical_points_are_equally_likely():
    drawn = seeds(Vectors(np.ones((4, 2))), 2, 3000)
    assert (drawn[:, 0] != drawn[:, 1]).all()
    counts = np.bincount(drawn[:, 1], minlength=4)
    assert np.abs(counts - 750).max() < 4 * np.sqrt(750)


@given(st.integers(1, 9), st.integers(0, 99), st.data())
def test_always_the_exact_count_of_distinct_points(n, seed, data):
    count = data.draw(st.integers(1, n))
    rng = np.random.default_rng(seed)
    points = OuterProducts(rng.integers(2, size=(n, 2)), rng.integers(2, size=(n, 2)))
    drawn = k_means_plus_plus(points, count, rng)
    assert len(set(drawn.tolist())) == count == len(drawn)
