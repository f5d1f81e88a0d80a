"""ProbCover against a graph that is written out, and against scikit-activeml's."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fal_bench.acquisition.clustering import k_means
from fal_bench.strategies.probcover import ProbCover


def by_graph(points, pool, budget, delta):
    """Pick the sample with most edges to uncovered ones; start again when nothing is left."""
    edges = cdist(points, points) <= delta
    uncovered = ~edges[pool:].any(axis=0)
    chosen = []
    while len(chosen) < budget:
        degrees = [(edges[i] & uncovered).sum() if i not in chosen else -1 for i in range(pool)]
        best = int(np.argmax(degrees))
        if degrees[best] == 0:
            uncovered[:] = True
            continue
        uncovered &= ~edges[best]
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("delta", [0.15, 0.6, 1.3])
def test_it_is_greedy_on_the_graph_of_balls(toy_pool, toy_model, seed, delta):
    model = toy_model.drawn(np.random.default_rng(seed), 40, d=3)
    points = model.embeddings.astype(float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    chosen = ProbCover({"delta": delta}).select(toy_pool([0, 1, 2], model), 20)
    assert chosen.tolist() == by_graph(points, 37, 20, delta)


def test_on_a_circle_by_hand(on_a_circle):
    # The label at 90 covers 80 and 100. Of the rest, 10 covers 0, 10 and 20; then 200 and 210 are
    # worth two each, the earlier first; 300 is alone. Then all is covered, and counts start again:
    # 0, 20, 80, 100 and 210 hold two or more, 0 and 20 two each, 80 three with the label.
    client = on_a_circle([0, 10, 20, 80, 100, 200, 210, 300, 90], labelled=1)
    strategy = ProbCover({"delta": 2 * np.sin(np.radians(11) / 2)})
    assert strategy.select(client, 4).tolist() == [1, 5, 7, 0]
    assert strategy.select(client, 5).tolist() == [1, 5, 7, 0, 3]


def test_the_radius_is_the_largest_at_which_enough_balls_are_pure(toy_pool, toy_model):
    model = toy_model.drawn(np.random.default_rng(5), 60, d=3)
    client = toy_pool([0, 1, 2], model, seed=7)
    points = model.embeddings.astype(float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = k_means(points, 3, np.random.default_rng(7)).labels
    distances, impure = cdist(points, points), labels[:, None] != labels[None]
    radii = np.arange(1, 201) / 100
    pure = [1 - ((distances <= radius) & impure).any(axis=1).mean() for radius in radii]
    radius = max(radius for radius, share in zip(radii, pure, strict=True) if share >= 0.8)
    chosen = ProbCover({"purity": 0.8}).select(client, 12)
    assert chosen.tolist() == by_graph(points, 57, 12, radius)
    assert ProbCover({"delta": 0.01}).select(client, 12).tolist() != chosen.tolist()


def test_scikit_activemls_first_pick_covers_as_much(toy_pool, toy_model):
    pool = pytest.importorskip("skactiveml.pool")
    model = toy_model.drawn(np.random.default_rng(2), 50, d=3)
    points = model.embeddings.astype(float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    [best] = ProbCover({"delta": 0.5}).select(toy_pool([0, 1], model), 1)
    labels = np.full(50, np.nan)
    labels[48:] = 0, 1
    other = pool.ProbCover(n_classes=3, deltas=[0.5], random_state=0)
    with pytest.warns(UserWarning, match="purity"):  # which a radius that is given does not need
        _, [worth] = other.query(points, labels, return_utilities=True)
    assert worth[best] == np.nanmax(worth)
