"""The area under the learning curve: a summary that needs no target."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def area_under_curve(grid: ArrayLike, accuracy: ArrayLike) -> float:
    """Return the mean accuracy between the initial labels and the cap, by the trapezoidal rule.

    Args:
        grid: the label grid up to the cap, shape (n_points,), strictly increasing.
        accuracy: accuracy at the grid points, shape (n_points,).

    Returns:
        The area divided by the width, an accuracy in [0, 1]; NaN if a value is missing.

    Raises:
        ValueError: there are fewer than two points, or the shapes differ.
    """
    points, values = np.asarray(grid, dtype=float), np.asarray(accuracy, dtype=float)
    if points.ndim != 1 or points.size < 2 or points.shape != values.shape:
        raise ValueError(
            f"an area needs two grid points and as many values; got shapes {points.shape} and "
            f"{values.shape}."
        )
    widths = np.diff(points)
    return float(np.sum(widths * (values[1:] + values[:-1]) / 2) / widths.sum())
