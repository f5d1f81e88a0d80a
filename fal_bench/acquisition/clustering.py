"""Groups of points: k-means, here or where the points are; means of classes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from fal_bench.acquisition.points import Vectors, blocks
from fal_bench.arrays import IntArray, RealArray

BATCH_SIZE = 5000
"""Samples a step of mini-batch k-means."""


@dataclass(frozen=True)
class Clustering:
    """Which cluster each point belongs to.

    Attributes:
        labels: the cluster of each point, shape (n,); some clusters may have no points.
        centres: shape (n_clusters, d).
    """

    labels: IntArray
    centres: RealArray


def k_means(
    points: RealArray,
    count: int,
    rng: np.random.Generator,
    n_init: int = 1,
    mini_batch_above: int | None = None,
) -> Clustering:
    """Cluster points by Lloyd's k-means (scikit-learn), seeded by k-means++.

    Args:
        points: shape (n, d), n at least 1.
        count: clusters; as many as there are distinct points if those are fewer.
        rng: gives the seed, with one draw.
        n_init: restarts; the best clustering is kept.
        mini_batch_above: above this many points mini-batch k-means takes over (Sculley, 2010),
            much faster for hundreds of clusters; never if None.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    settings = {
        "n_clusters": min(count, distinct(points)),
        "n_init": n_init,
        "random_state": int(rng.integers(2**31)),
    }
    if mini_batch_above is not None and len(points) > mini_batch_above:
        estimator = MiniBatchKMeans(batch_size=BATCH_SIZE, **settings)
    else:
        estimator = KMeans(**settings)
    with warnings.catch_warnings():
        # Points that differ by less than rounding still collapse; empty clusters are no error here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = np.asarray(estimator.fit_predict(points), dtype=np.int64)
    return Clustering(labels, estimator.cluster_centers_)


def distinct(points: RealArray) -> int:
    """Return the number of different rows."""
    return len({row.tobytes() for row in points + 0.0})  # + 0.0 turns -0.0 into 0.0


def nearest_to_centres(points: RealArray, clustering: Clustering) -> IntArray:
    """Return, cluster by cluster, the position of the point nearest to the centre.

    Empty clusters are left out; ties go to the earlier position.
    """
    offsets = points - clustering.centres[clustering.labels]
    squared = np.einsum("ij,ij->i", offsets, offsets)
    order = np.lexsort((squared, clustering.labels))
    _, first = np.unique(clustering.labels[order], return_index=True)
    return order[first].astype(np.int64)


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


def cluster_sums(
    points: RealArray, centres: RealArray, weights: RealArray | None = None
) -> RealArray:
    """Return what one client contributes to the next centres.

    Args:
        points: the client's, shape (n, d).
        centres: shape (k, d).
        weights: of the points, shape (n,); all 1 if None.

    Returns:
        Single precision, shape (k, d + 1): in each row the sum of the points nearest to that
        centre, and their number; of weighted points, if there are weights.
    """
    labels, _ = nearest_centres(points, centres)
    sums = np.zeros((len(centres), points.shape[1] + 1))
    np.add.at(sums[:, :-1], labels, points if weights is None else points * weights[:, None])
    sums[:, -1] = np.bincount(labels, weights, minlength=len(centres))
    return sums.astype(np.float32)


def next_centres(sums: RealArray, centres: RealArray) -> RealArray:
    """Return the centres after one step of Lloyd's algorithm; empty clusters stay where they are.

    Args:
        sums: of all clients together, as from ``cluster_sums``, shape (k, d + 1).
        centres: shape (k, d).
    """
    counts = sums[:, -1:]
    moved: RealArray = np.divide(sums[:, :-1], counts, out=np.array(centres), where=counts > 0)
    return moved


def class_means(points: RealArray, labels: IntArray) -> tuple[IntArray, RealArray]:
    """Return the classes that occur, sorted, and the mean of each one's points.

    Args:
        points: shape (n, d).
        labels: shape (n,).

    Returns:
        The classes, shape (m,), and their means in double precision, shape (m, d).
    """
    classes, members = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(classes), points.shape[1]))
    np.add.at(sums, members, points)
    return classes.astype(np.int64), sums / np.bincount(members)[:, None]
