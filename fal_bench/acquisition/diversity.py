"""Points far from each other: k-centre greedy and k-means++."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np

from fal_bench.acquisition.points import Points, nearest_squared, squared_distances
from fal_bench.arrays import IntArray, RealArray

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


First = Literal["random", "largest-norm"]


def k_means_plus_plus(
    points: Points, count: int, rng: np.random.Generator, first: First = "random"
) -> IntArray:
    """Draw ``count`` distinct points, each with probability proportional to its squared distance.

    Arthur & Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007; the distance
    is to the nearest point drawn before. Where all remaining points coincide with drawn ones, they
    are equally likely.

    Args:
        points: n points.
        count: points to draw, at most n.
        rng: the stream to draw from.
        first: draw the first point uniformly, or take the one with the largest norm.

    Returns:
        Positions in the order they were drawn, shape (count,).
    """
    if first == "random":
        drawn = [int(rng.integers(len(points)))]
    else:
        drawn = [int(points.squared_norms.argmax())]
    nearest = np.full(len(points), np.inf)
    while len(drawn) < count:
        newest = points.take(np.array(drawn[-1:]))
        np.minimum(nearest, squared_distances(points, newest)[:, 0], out=nearest)
        nearest[drawn] = 0
        drawn.append(_draw(nearest, drawn, rng))
    return np.array(drawn[:count], dtype=np.int64)


def _draw(weights: RealArray, drawn: list[int], rng: np.random.Generator) -> int:
    total = weights.sum()
    if total > 0:
        return int(rng.choice(len(weights), p=weights / total))
    return int(rng.choice(np.setdiff1d(np.arange(len(weights)), drawn)))
