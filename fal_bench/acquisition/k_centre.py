"""Greedy k-centre: points that leave no other point far away."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from fal_bench.acquisition.points import Points, nearest_squared, squared_distances
from fal_bench.arrays import IntArray

P = TypeVar("P", bound=Points)


def k_centre_greedy(points: P, count: int, anchors: P) -> IntArray:
    """Pick ``count`` distinct points, each time the one farthest from all anchors and picked ones.

    Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985: at most twice the
    best possible largest distance. Ties go to the earlier position; without anchors the first
    point is picked first.

    Args:
        points: n points.
        count: points to pick, at most n.
        anchors: centres that are there already; may be empty.

    Returns:
        Positions in the order they were picked, shape (count,).
    """
    nearest = nearest_squared(points, anchors)
    picked = np.empty(count, dtype=np.int64)
    for number in range(count):
        farthest = int(nearest.argmax())
        picked[number] = farthest
        newest = points.take(picked[number : number + 1])
        np.minimum(nearest, squared_distances(points, newest)[:, 0], out=nearest)
        nearest[farthest] = -1  # below every distance: picked only once
    return picked
