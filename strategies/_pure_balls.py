"""ProbCover's rule for the radius of balls, which reads no labels."""

from __future__ import annotations

from typing import Final

import numpy as np

from fal_bench.acquisition.clustering import k_means
from fal_bench.acquisition.covering import distance_to_other_labels
from fal_bench.arrays import IntArray, RealArray
from fal_bench.strategies.typiclust import LARGE_POOL

RADII: Final = np.arange(1, 201) / 100
"""Radii among which the purity rule chooses; unit vectors are at most 2 apart."""

PURITY_SAMPLES: Final = 2_000
"""Most samples a client whose balls are looked at for purity."""


def pure_balls(points: RealArray, n_classes: int, rng: np.random.Generator) -> IntArray:
    """Return how many balls were looked at, and how many are pure at each of ``RADII``.

    A ball around a sample is pure if all samples in it are of one k-means cluster.

    Args:
        points: unit vectors, shape (n, d).
        n_classes: number of clusters.
        rng: draws the clusters' start and the samples that are looked at.

    Returns:
        Shape (1 + len(RADII),).
    """
    if len(points) == 0:
        return np.zeros(1 + len(RADII), dtype=np.int64)
    clusters = k_means(points, n_classes, rng, mini_batch_above=LARGE_POOL)
    count = min(len(points), PURITY_SAMPLES)
    drawn = np.sort(rng.choice(len(points), count, replace=False))
    distances = distance_to_other_labels(points, clusters.labels, drawn)
    return np.array([count, *(distances[:, None] > RADII).sum(axis=0)])


def largest_pure_radius(counts: IntArray, purity: float) -> float:
    """Return the largest radius at which at least a share ``purity`` of the balls is pure.

    Args:
        counts: what ``pure_balls`` returns, or a sum of such.
        purity: the share.
    """
    pure = np.flatnonzero(counts[1:] >= purity * counts[0])
    return float(RADII[pure.max(initial=0)])
