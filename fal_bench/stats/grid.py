"""A learning curve at the points of a label grid, and the area under it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def read_at_grid(labels: ArrayLike, values: ArrayLike, grid: ArrayLike) -> NDArray[np.float64]:
    """Return the curve's value at each grid point.

    The value at b_j is that of the last model trained with at most b_j labels, so fixed-size and
    adaptive strategies are read at the same points. Outside of the observed label counts the
    value is NaN: a strategy that under-spent until it was stopped is never credited at a point
    that it did not get to.

    Args:
        labels: labels of each cycle's model, shape (n_cycles,), never decreasing.
        values: value of each cycle's model, for example its accuracy, shape (n_cycles,).
        grid: the label grid, shape (n_points,), strictly increasing, in the unit of ``labels``.

    Returns:
        Values at the grid points, shape (n_points,).

    Raises:
        ValueError: the shapes do not fit, there is no cycle, ``labels`` decreases, or ``grid``
            does not increase.
    """
    counts, observed, points = (np.asarray(a, dtype=float) for a in (labels, values, grid))
    if counts.ndim != 1 or counts.size == 0 or counts.shape != observed.shape:
        raise ValueError(
            f"labels and values must be equally long, one entry a cycle; got shapes "
            f"{counts.shape} and {observed.shape}."
        )
    if not np.all(np.diff(counts) >= 0):
        raise ValueError("labels must never decrease from one cycle to the next.")
    if points.ndim != 1 or not np.all(np.diff(points) > 0):
        raise ValueError("the label grid must be one-dimensional and strictly increasing.")
    last = np.searchsorted(counts, points, side="right") - 1
    inside = (points >= counts[0]) & (points <= counts[-1])
    return np.where(inside, observed[np.maximum(last, 0)], np.nan)


def area_under_curve(grid: ArrayLike, accuracy: ArrayLike) -> float:
    """Return the mean accuracy between the initial labels and the cap, by the trapezoidal rule.

    It is a summary of a curve that needs no target.

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
