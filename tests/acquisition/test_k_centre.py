import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fal_bench.acquisition.diversity import k_centre_greedy
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


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 12), st.integers(0, 4), st.data())
def test_against_brute_force(seed, n, m, data):
    """All distances anew at every step, on points that are multiplied out."""
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
