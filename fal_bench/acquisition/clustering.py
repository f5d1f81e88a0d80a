"""k-means, seeded from a stream and quiet about duplicates."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

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
