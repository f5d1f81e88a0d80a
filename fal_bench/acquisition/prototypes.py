"""One mean point a class."""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import IntArray, RealArray


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
