"""Where a curve reaches the target and stays: the confirmed crossing, and its budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
    """The first confirmed crossing of a target, as a place among the models that are read.

    It holds no label count, so that one crossing can be read on any label axis (paper labels or
    strict labels).

    Attributes:
        index: index j of the first confirmed model; None if the run is censored.
        fraction: where the straight line between the values at j-1 and j meets the target, in
            (0, 1]; 1 where there is nothing to interpolate (j = 0, no value at j-1, censored).
    """

    index: int | None
    fraction: float

    def step(self, axis: ArrayLike, cap: float) -> Budget:
        """Return the labels of the first confirmed model.

        Args:
            axis: labels of the models, shape (n_models,).
            cap: labels at which a run without a crossing is censored.

        Returns:
            The budget; the cap, not reached, if the run is censored.
        """
        return self._read(axis, cap, fraction=1.0)

    def interpolated(self, axis: ArrayLike, cap: float) -> Budget:
        """Return the label count between the models j-1 and j at which the target is met.

        Interpolation avoids the ties of the step value in paired comparisons, and charges a
        strategy that buys in uneven portions what it needed; it does not make the budget more
        exact than the distance of two models.

        Args:
            axis: labels of the models, shape (n_models,).
            cap: labels at which a run without a crossing is censored.

        Returns:
            The budget; the cap, not reached, if the run is censored.
        """
        return self._read(axis, cap, self.fraction)

    def _read(self, axis: ArrayLike, cap: float, fraction: float) -> Budget:
        if self.index is None:
            return Budget(cap, reached=False)
        counts = np.asarray(axis, dtype=float)
        labels = float(counts[self.index])
        if fraction < 1.0:
            before = float(counts[self.index - 1])
            labels = before + fraction * (labels - before)
        return Budget(labels, reached=True)


def find_crossing(values: ArrayLike, target: float, *, within: int, confirm: int = 2) -> Crossing:
    """Find the first model within the cap at which the target is reached and kept.

    A single noisy evaluation above the target is no crossing: the value must be at least the
    target for ``confirm`` models in a row. Models beyond the cap only confirm. A missing value
    (NaN, or beyond the end) never counts.

    Args:
        values: value of each model that is read, shape (n_models,); includes confirm - 1 models
            beyond the cap if a crossing at the cap is to be confirmed.
        target: the target value.
        within: number of models within the cap.
        confirm: number r of models in a row at or above the target.

    Returns:
        The crossing; its index is None if there is none.

    Raises:
        ValueError: ``confirm`` is below 1, or there are not as many models within the cap.
    """
    (index,), (fraction,) = find_crossings(values, [target], within=within, confirm=confirm)
    return Crossing(None if index < 0 else int(index), float(fraction))


def find_crossings(
    values: ArrayLike, targets: ArrayLike, *, within: int, confirm: int = 2
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the crossings of several targets.

    Args:
        values: value of each model that is read, shape (n_models,).
        targets: the targets, shape (n_targets,).
        within: number of models within the cap.
        confirm: number of models in a row at or above the target.

    Returns:
        Index and fraction of each crossing (``Crossing``), shape (n_targets,); index -1 and
        fraction 1 if there is none.

    Raises:
        ValueError: ``confirm`` is below 1, or there are not as many models within the cap.
    """
    curve, wanted = np.asarray(values, dtype=float), np.asarray(targets, dtype=float)
    if confirm < 1:
        raise ValueError(f"confirm must be at least 1, not {confirm}.")
    if curve.ndim != 1 or not 0 <= within <= curve.size:
        raise ValueError(f"{within} of {curve.size} models cannot be within the cap.")
    index, fraction = np.full(wanted.shape, -1), np.ones(wanted.shape)
    starts = min(within, curve.size - confirm + 1)
    if starts < 1:
        return index, fraction
    above = curve >= wanted[:, None]
    kept = above[:, :starts]
    for shift in range(1, confirm):
        kept = kept & above[:, shift : shift + starts]
    found = kept.any(axis=1)
    index[found] = kept[found].argmax(axis=1)
    # The model before the first confirmed one lies below the target or is missing, whatever
    # ``confirm`` is: otherwise it would itself be confirmed.
    before = curve[np.maximum(index - 1, 0)]
    between = (index > 0) & ~np.isnan(before)
    rise = curve[index[between]] - before[between]
    fraction[between] = (wanted[between] - before[between]) / rise
    return index, fraction
