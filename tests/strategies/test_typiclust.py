"""TypiClust by hand, and against the picks of another implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.strategies.typiclust import (
    TypiClust,
    TypiClustParams,
    most_typical,
    typical_samples,
)

# Angles (radians) of unit vectors: three far groups of 9, 8 and 7; number 3 is labelled.
ANGLES = [
    *(-0.08, -0.132, -0.025, 0.042, 0.114, 0.011, -0.055, -0.078, 0.075),
    *(2.163, 2.027, 1.877, 1.904, 2.16, 2.02, 1.827, 1.992),
    *(3.884, 3.937, 3.951, 3.929, 4.055, 3.994, 3.941),
]


def column(*values):
    return np.array(values, dtype=float)[:, None]


def picks(values, clusters, unlabelled, budget, **params):
    features = column(*values)
    chosen = typical_samples(
        features, np.array(clusters), unlabelled, budget, TypiClustParams(**params)
    )
    return chosen.tolist()


@pytest.mark.parametrize(("neighbours", "expected"), [(2, [14, 18]), (5, [16, 18])])
def test_against_scikit_activeml(neighbours, expected, toy_model, toy_pool):
    """scikit-activeml 1.0.1: TypiClust(k=neighbours, random_state=0), two queries."""
    order = [*range(3), *range(4, 24), 3]  # the labelled sample goes to the end
    angles = np.array(ANGLES)[order]
    model = toy_model(np.stack([np.cos(angles), np.sin(angles)], axis=1), np.eye(2))
    chosen = TypiClust({"neighbours": neighbours}).select(toy_pool([0], model), 2)
    assert [order[position] for position in chosen] == expected


def test_the_most_typical_by_hand():
    # Mean distances to the two nearest: 0: (1+2)/2, 1: 1, 2: (1+2)/2, 4: (2+3)/2, 9: (5+7)/2.
    points = column(0, 1, 2, 4, 9)
    assert most_typical(points, TypiClustParams(neighbours=2)) == 1
    # To all four others: 16, 13, 12, 14, 29 in sum.
    assert most_typical(points, TypiClustParams()) == 2
    # Squared, half of five is two: 5, 2, 5, 13, 74 in sum.
    assert most_typical(points, TypiClustParams(as_released=True)) == 1
    # Two points are as near to each other: the earlier one. Alone, a point is the most typical.
    assert most_typical(points[:2], TypiClustParams()) == 0
    assert most_typical(points[:1], TypiClustParams(as_released=True)) == 0


def test_the_largest_clusters_without_labels_come_first():
    # Cluster 5 (0, 1, 2), cluster 6 (10, 11, 12, 13) with a label at 14, cluster 7 (20, 21).
    values = [0, 1, 2, 10, 11, 12, 13, 20, 21, 14]
    clusters = [5, 5, 5, 6, 6, 6, 6, 7, 7, 6]
    # 5 and 7 have no labels, 5 is larger: its middle 1, then 20 (a tie with 21). Now all have one
    # label and 6 is largest: of 10..13 (nearest two of each: 3, 2, 2, 3) the first in the middle.
    assert picks(values, clusters, 9, 3, neighbours=2, min_cluster_size=1) == [1, 7, 4]


def test_small_clusters_come_last():
    values = [0, 1, 2, 10, 11, 12, 13, 20, 21, 14]
    clusters = [5, 5, 5, 6, 6, 6, 6, 7, 7, 6]
    # From 4 samples on only cluster 6 counts, until it is used up (of 10, 12, 13: 12 is nearest to
    # the others; of 10 and 13 the first).
    chosen = picks(values, clusters, 9, 6, neighbours=2, min_cluster_size=4)
    assert chosen == [4, 5, 3, 6, 1, 7]


def test_the_released_code_takes_turns_in_the_first_order():
    # Cluster 0 has six samples and no label, cluster 1 six and three labels.
    values = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]
    clusters = [0] * 6 + [1] * 6
    ours = picks(values, clusters, 9, 3)
    released = picks(values, clusters, 9, 3, as_released=True)
    assert [position < 6 for position in ours] == [True, True, True]
    assert [position < 6 for position in released] == [True, False, True]


def test_a_cluster_of_exactly_the_smallest_size_is_small_to_the_released_code():
    values, clusters = [*range(5), *range(10, 16), 20], [0] * 5 + [1] * 6 + [1]
    # Cluster 0 has five samples and no label, cluster 1 seven, one of them labelled.
    assert picks(values, clusters, 11, 1)[0] < 5
    assert picks(values, clusters, 11, 1, as_released=True)[0] >= 5


def test_clusters_are_as_many_as_labels_up_to_the_limit(monkeypatch, toy_model, toy_pool):
    import fal_bench.strategies.typiclust as module

    counts = []
    real = module.k_means

    def noting(points, count, *args, **options):
        counts.append(count)
        return real(points, count, *args, **options)

    monkeypatch.setattr(module, "k_means", noting)
    client = toy_pool([0, 1, 2], toy_model.drawn(np.random.default_rng(0), 33))
    TypiClust().select(client, 4)
    TypiClust({"max_clusters": 5}).select(client, 4)
    assert counts == [7, 5]


@given(st.integers(1, 12), st.integers(0, 5), st.integers(0, 99), st.booleans(), st.data())
def test_always_the_exact_count_of_distinct_samples(n, m, seed, as_released, data):
    budget = data.draw(st.integers(1, n))
    rng = np.random.default_rng(seed)
    params = TypiClustParams(as_released=as_released, min_cluster_size=2)
    chosen = typical_samples(
        rng.integers(3, size=(n + m, 2)).astype(float),
        rng.integers(4, size=n + m),
        n,
        budget,
        params,
    )
    assert len(set(chosen.tolist())) == budget
    assert chosen.max() < n
