"""k-means over points that stay where they are: only sums and counts of clusters travel."""

from __future__ import annotations

import numpy as np

from fal_bench.acquisition.points import Vectors, blocks
from fal_bench.arrays import IntArray, RealArray


def nearest_centres(points: RealArray, centres: RealArray) -> tuple[IntArray, RealArray]:
    """Return the nearest centre of each point and its distance.

    Args:
        points: shape (n, d).
        centres: shape (k, d), k at least 1; ties go to the earlier centre.

    Returns:
        Both of shape (n,).
    """
    labels = np.empty(len(points), dtype=np.int64)
    distances = np.empty(len(points))
    for part, squared in blocks(Vectors(points), Vectors(centres)):
        labels[part] = squared.argmin(axis=1)
        distances[part] = np.sqrt(squared.min(axis=1))
    return labels, distances


def cluster_sums(points: RealArray, centres: RealArray) -> RealArray:
    """Return what one site contributes to the next centres.

    Args:
        points: the site's, shape (n, d).
        centres: shape (k, d).

    Returns:
        Single precision, shape (k, d + 1): in each row the sum of the points nearest to that
        centre, and their number.
    """
    labels, _ = nearest_centres(points, centres)
    sums = np.zeros((len(centres), points.shape[1] + 1))
    np.add.at(sums[:, :-1], labels, points)
    sums[:, -1] = np.bincount(labels, minlength=len(centres))
    return sums.astype(np.float32)


def next_centres(sums: RealArray, centres: RealArray) -> RealArray:
    """Return the centres after one step of Lloyd's algorithm; empty clusters stay where they are.

    Args:
        sums: of all sites together, as from ``cluster_sums``, shape (k, d + 1).
        centres: shape (k, d).
    """
    counts = sums[:, -1:]
    moved: RealArray = np.divide(sums[:, :-1], counts, out=np.array(centres), where=counts > 0)
    return moved
