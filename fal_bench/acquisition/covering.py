"""Covering points by balls around some of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.acquisition.points import Vectors, blocks, nearest_squared, squared_distances
from fal_bench.arrays import IntArray, RealArray


class Cover:
    """Which points are covered, and how many more a ball around each of them would cover.

    Time is quadratic in the number of points over the life of a cover, memory is linear.

    Args:
        points: shape (n, d).
        radius: of all balls.

    Attributes:
        covered: shape (n,).
    """

    def __init__(self, points: RealArray, radius: float) -> None:
        self._points = Vectors(points)
        self._squared_radius = radius**2
        self.covered: NDArray[Any] = np.zeros(len(self._points), dtype=bool)
        self._counts: IntArray | None = None

    def within(self, centres: RealArray) -> NDArray[Any]:
        """Return which points lie within the radius of any of the centres (k, d), shape (n,)."""
        inside: NDArray[Any] = (
            nearest_squared(self._points, Vectors(centres)) <= self._squared_radius
        )
        return inside

    def add(self, centres: RealArray) -> None:
        """Cover the balls around ``centres``, shape (k, d)."""
        new = np.flatnonzero(self.within(centres) & ~self.covered)
        self.covered[new] = True
        if self._counts is not None:
            self._counts -= self._held(new)

    def clear(self) -> None:
        """Uncover everything."""
        self.covered[:] = False
        self._counts = None

    def gains(self, centres: RealArray) -> IntArray:
        """Return how many uncovered points the balls around ``centres`` (k, d) hold, shape (k,)."""
        counts = np.empty(len(centres), dtype=np.int64)
        uncovered = self._points.take(np.flatnonzero(~self.covered))
        for part, squared in blocks(Vectors(centres), uncovered):
            counts[part] = (squared <= self._squared_radius).sum(axis=1)
        return counts

    def best(self, allowed: NDArray[Any]) -> int | None:
        """Return the allowed point whose ball holds most uncovered points; ties go to the earlier.

        Args:
            allowed: which points may be returned, shape (n,).

        Returns:
            Its position; None if no ball of an allowed point holds any.
        """
        if self._counts is None:
            self._counts = self._held(np.flatnonzero(~self.covered))
        counts = np.where(allowed, self._counts, 0)
        best = int(counts.argmax())
        return best if counts[best] > 0 else None

    def best_ball(self) -> RealArray | None:
        """Return the mean of the uncovered points in the ball that holds most of them, shape (d,).

        Balls are centred at points, ties go to the earlier one. None if all points are covered.
        """
        while not self.covered.all():
            if self._counts is None or self._counts.max() <= 0:
                self._counts = self._held(np.flatnonzero(~self.covered))
            best = int(self._counts.argmax())
            ball = self._points.take(np.array([best]))
            near = squared_distances(self._points, ball)[:, 0] <= self._squared_radius
            inside = np.flatnonzero(near & ~self.covered)
            if len(inside):
                mean: RealArray = self._points.coordinates[inside].mean(axis=0)
                return mean
            self._counts[best] = 0  # points at the very rim are in or out by rounding
        return None

    def _held(self, positions: IntArray) -> IntArray:
        """Return how many of the points at ``positions`` lie in each point's ball, shape (n,)."""
        counts = np.zeros(len(self._points), dtype=np.int64)
        for part, squared in blocks(self._points, self._points.take(positions)):
            counts[part] = (squared <= self._squared_radius).sum(axis=1)
        return counts


def distance_to_other_labels(points: RealArray, labels: IntArray, positions: IntArray) -> RealArray:
    """Return the distance of the points at ``positions`` to the nearest one with another label.

    A ball around a point is pure if its radius is smaller. Infinite if there is no other label.

    Args:
        points: shape (n, d).
        labels: shape (n,).
        positions: shape (m,).

    Returns:
        Shape (m,).
    """
    everything = Vectors(points)
    nearest = np.full(len(positions), np.inf)
    for part, squared in blocks(everything.take(positions), everything):
        squared[labels[positions[part], None] == labels[None, :]] = np.inf
        nearest[part] = np.sqrt(squared.min(axis=1, initial=np.inf))
    return nearest
