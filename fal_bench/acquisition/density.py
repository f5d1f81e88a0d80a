"""How densely other points lie around each point."""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import RealArray


def mean_neighbour_distance(points: RealArray, neighbours: int, squared: bool = False) -> RealArray:
    """Return the mean Euclidean distance of each point to its nearest other points.

    Small where points are dense: its inverse is the typicality of Hacohen et al., ICML 2022.

    Args:
        points: shape (n, d).
        neighbours: number of other points; all of them if there are fewer.
        squared: average the squared distances.

    Returns:
        Shape (n,); zero if there are no others or ``neighbours`` is 0.
    """
    from sklearn.neighbors import NearestNeighbors

    count = min(neighbours, len(points) - 1)
    if count < 1:
        return np.zeros(len(points))
    coordinates = np.asarray(points, dtype=np.float64)
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(coordinates)
    distances, _ = search.kneighbors()
    means: RealArray = (distances**2 if squared else distances).mean(axis=1)
    return means
