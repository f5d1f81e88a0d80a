"""The looks at a learning curve: which models are read, and the curve through them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def models_read(labels: ArrayLike, looks: ArrayLike) -> NDArray[np.int64]:
    """Return the model that is read at each look: the last one with at most that many labels.

    All strategies are looked at equally often, because the more often a noisy curve is read, the
    earlier it first reaches a target. What a look charges is what its model has cost, which is
    less than the look's own labels where a strategy did not spend all, or had ended.

    Args:
        labels: labels of each cycle's model, shape (n_cycles,), never decreasing.
        looks: labels at which curves are read, shape (n_looks,), strictly increasing.

    Returns:
        Positions in ``labels``, shape (n_looks,); -1 for looks before the first model.

    Raises:
        ValueError: there is no cycle, ``labels`` decreases, or ``looks`` does not increase.
    """
    counts, points = (np.asarray(a, dtype=float) for a in (labels, looks))
    if counts.ndim != 1 or counts.size == 0 or not np.all(np.diff(counts) >= 0):
        raise ValueError("labels must be one number a cycle and never decrease.")
    if points.ndim != 1 or not np.all(np.diff(points) > 0):
        raise ValueError("looks must be one-dimensional and strictly increasing.")
    return (np.searchsorted(counts, points, side="right") - 1).astype(np.int64)


def curve_at(labels: ArrayLike, values: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """Return the values of the straight lines between models; NaN outside of them.

    Args:
        labels: labels of each model, shape (n_models,), strictly increasing.
        values: value of each model, same shape.
        points: labels at which the curve is wanted, shape (n_points,).

    Returns:
        Shape (n_points,).
    """
    counts, observed = np.asarray(labels, dtype=float), np.asarray(values, dtype=float)
    if not counts.size:
        return np.full(np.shape(points), np.nan)
    wanted = np.asarray(points, dtype=float)
    found: NDArray[np.float64] = np.interp(wanted, counts, observed, left=np.nan, right=np.nan)
    return found


def area_under_curve(labels: ArrayLike, values: ArrayLike, first: float, last: float) -> float:
    """Return the mean of a curve between two label counts, by the trapezoidal rule.

    It is a summary of a curve that needs no target.

    Args:
        labels: labels of each model, shape (n_models,), strictly increasing.
        values: value of each model, same shape.
        first: where the mean begins.
        last: where it ends, beyond ``first``.

    Returns:
        The area divided by the width; NaN if the curve does not cover all of it.

    Raises:
        ValueError: ``last`` is not beyond ``first``.
    """
    if not first < last:
        raise ValueError(f"an area needs an end beyond its start; got {first:g} and {last:g}.")
    counts = np.asarray(labels, dtype=float)
    inside = counts[(counts > first) & (counts < last)]
    points = np.array([first, *inside, last])
    curve = curve_at(counts, values, points)
    return float(np.sum(np.diff(points) * (curve[1:] + curve[:-1]) / 2) / (last - first))
