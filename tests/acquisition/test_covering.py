import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fal_bench.acquisition import points as module
from fal_bench.acquisition.covering import Cover, distance_to_other_labels


def test_by_hand():
    # Balls of radius 1 on a line: the one around 2 holds 1, 2 and 3, whose mean is 2.
    cover = Cover(np.array([[0.0], [1.0], [2.0], [3.0], [9.0], [9.5]]), 1.0)
    assert cover.best_ball().tolist() == [1.0]  # 0, 1, 2 around 1 come first
    cover.add(np.array([[1.0]]))
    assert cover.covered.tolist() == [True] * 3 + [False] * 3
    assert cover.gains(np.array([[2.0], [9.2], [50.0]])).tolist() == [1, 2, 0]
    assert cover.best_ball().tolist() == [9.25]
    cover.add(np.array([[9.25], [3.0]]))
    assert cover.best_ball() is None
    cover.clear()
    assert cover.best_ball().tolist() == [1.0]


@pytest.mark.parametrize("block", [7, 10_000])
@given(st.integers(0, 99), st.integers(1, 25), st.floats(0.1, 3))
def test_counts_that_are_updated_are_those_of_a_full_count(block, seed, n, radius):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        cover = Cover(points, radius)
        while (ball := cover.best_ball()) is not None:
            uncovered = np.flatnonzero(~cover.covered)
            held = (cdist(points, points[uncovered]) <= radius).sum(axis=1)
            members = uncovered[cdist(points[uncovered], points[[held.argmax()]])[:, 0] <= radius]
            np.testing.assert_allclose(ball, points[members].mean(axis=0))
            before = cover.covered.sum()
            gain = cover.gains(ball[None])[0]
            cover.add(ball[None])
            assert cover.covered.sum() - before == gain > 0


def test_points_on_the_rim_end_the_search_whatever_the_rounding():
    """Distances equal to the radius up to rounding, where counts and balls may disagree."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    points = np.concatenate([[[0.0, 0.0]], np.stack([np.cos(angles), np.sin(angles)], axis=1) / 3])
    cover = Cover(points + 1000, 1 / 3)
    balls = 0
    while (ball := cover.best_ball()) is not None:
        cover.add(ball[None])
        balls += 1
    assert 1 <= balls <= 61


@given(st.integers(0, 99), st.integers(1, 25))
def test_distances_to_other_labels_against_brute_force(seed, n):
    rng = np.random.default_rng(seed)
    points, labels = rng.normal(size=(n, 2)), rng.integers(3, size=n)
    positions = np.flatnonzero(rng.random(n) < 0.5)
    expected = [
        min(
            (np.linalg.norm(points[i] - points[j]) for j in range(n) if labels[j] != labels[i]),
            default=np.inf,
        )
        for i in positions
    ]
    np.testing.assert_allclose(distance_to_other_labels(points, labels, positions), expected)
