"""Where a curve reaches the target and stays: the confirmed crossing, and its budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Budget:
    """Budget to target of one run, possibly right-censored at the cap.

    Attributes:
        labels: min(T, cap), in labels.
        reached: whether the target was reached; otherwise T is only known to exceed ``labels``.
    """

    labels: float
    reached: bool


@dataclass(frozen=True)
class Crossing:
    """The first confirmed crossing of a target, as a place on the label grid.

    It holds no label count, so that one crossing can be read on any label axis (paper labels or
    strict labels) given at the same grid points.

    Attributes:
        index: index j of the first confirmed grid point; None if the run is censored.
        fraction: where the straight line between the values at j-1 and j meets the target, in
            (0, 1]; 1 where there is nothing to interpolate (j = 0, no model at j-1, censored).
    """

    index: int | None
    fraction: float

    def step(self, axis: ArrayLike, cap_index: int) -> Budget:
        """Return the label count at the first confirmed grid point.

        Args:
            axis: labels at the grid points, shape (n_points,).
            cap_index: index of the budget cap in the grid.

        Returns:
            The budget; the axis' value at the cap, not reached, if the run is censored.

        Raises:
            ValueError: the axis has no label count where the crossing is.
        """
        return self._read(axis, cap_index, fraction=1.0)

    def interpolated(self, axis: ArrayLike, cap_index: int) -> Budget:
        """Return the linearly interpolated label count, within (b_{j-1}, b_j].

        Interpolation avoids the ties of the step value in paired comparisons; it does not make
        the budget more exact than one step of the grid.

        Args:
            axis: labels at the grid points, shape (n_points,).
            cap_index: index of the budget cap in the grid.

        Returns:
            The budget; the axis' value at the cap, not reached, if the run is censored.

        Raises:
            ValueError: the axis has no label count where the crossing is.
        """
        return self._read(axis, cap_index, self.fraction)

    def _read(self, axis: ArrayLike, cap_index: int, fraction: float) -> Budget:
        counts = np.asarray(axis, dtype=float)
        index = cap_index if self.index is None else self.index
        labels = float(counts[index])
        if fraction < 1.0:
            before = float(counts[index - 1])
            labels = before + fraction * (labels - before)
        if not math.isfinite(labels):
            raise ValueError(f"the label axis has no label count at grid point {index}.")
        return Budget(labels, self.index is not None)


def find_crossing(
    values: ArrayLike, target: float, *, cap_index: int, confirm: int = 2
) -> Crossing:
    """Find the first grid point, up to the cap, at which the target is reached and kept.

    A single noisy evaluation above the target is no crossing: the value must be at least the
    target at ``confirm`` consecutive grid points. Points beyond the cap only confirm. A missing
    value (NaN, or beyond the end) never counts.

    Args:
        values: value at each grid point, shape (n_points,); includes confirm - 1 points beyond
            the cap if a crossing at the cap is to be confirmed.
        target: the target value.
        cap_index: index of the budget cap in the grid.
        confirm: number r of consecutive points at or above the target.

    Returns:
        The crossing; its index is None if there is none.

    Raises:
        ValueError: ``confirm`` is below 1, or ``cap_index`` is not a grid point.
    """
    curve = np.asarray(values, dtype=float)
    if confirm < 1:
        raise ValueError(f"confirm must be at least 1, not {confirm}.")
    if curve.ndim != 1 or not 0 <= cap_index < curve.size:
        raise ValueError(f"cap_index {cap_index} is not one of {curve.size} grid points.")
    above = curve >= target
    starts = min(cap_index, curve.size - confirm) + 1
    if starts < 1:
        return Crossing(None, 1.0)
    kept = np.all([above[shift : shift + starts] for shift in range(confirm)], axis=0)
    if not kept.any():
        return Crossing(None, 1.0)
    index = int(kept.argmax())
    return Crossing(index, _fraction(curve, target, index))


def _fraction(curve: np.ndarray, target: float, index: int) -> float:
    """Position of the target between the values at index-1 and index.

    The point before the first confirmed one lies below the target or is missing, whatever
    ``confirm`` is: otherwise it would itself be confirmed.
    """
    if index == 0 or math.isnan(curve[index - 1]):
        return 1.0
    before, after = float(curve[index - 1]), float(curve[index])
    return (target - before) / (after - before)
