"""Learning curves as arrays, read from the tidy frame at the labels of their models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fal_bench.stats.crossing import find_crossing

Doubles = NDArray[np.float64]

ACCURACY, TRAINING = "accuracy", "train_accuracy"


@dataclass(frozen=True, eq=False)
class Curve:
    """One run at its looks: each describes the model trained with the labels of that look.

    Attributes:
        labels: labels bought from the query pool, initial ones included, shape (looks,).
        accuracy: test accuracy, shape (looks,).
        training: accuracy on the labels that the model was trained with, likewise; NaN where
            it was not recorded.
    """

    labels: Doubles
    accuracy: Doubles
    training: Doubles

    @classmethod
    def read(cls, rows: pd.DataFrame) -> Curve:
        """Read the rows of one run."""
        rows = rows.sort_values("cycle")
        unknown = pd.Series(np.nan, index=rows.index)
        labels, accuracy, training = (
            np.asarray(rows.get(name, unknown), dtype=float)
            for name in ("labels", ACCURACY, TRAINING)
        )
        return cls(labels, accuracy, training)

    def labels_to(self, target: float, cap: int) -> float:
        """Return the labels at which the accuracy reaches a target and stays; NaN if it does not.

        Args:
            target: the accuracy.
            cap: the budget cap; a look beyond it only confirms.
        """
        within = int(np.searchsorted(self.labels, cap, side="right"))
        crossing = find_crossing(self.accuracy, target, within=within)
        found = crossing.interpolated(self.labels, cap)
        return found.labels if found.reached else np.nan


@dataclass(frozen=True, eq=False)
class Looks:
    """The runs of one strategy with the same seeds, at the looks that all of them share.

    Attributes:
        labels: labels of the looks up to the cap, shape (looks,).
        accuracy: test accuracy, shape (seeds, looks).
        training: training accuracy, shape (seeds, looks).
    """

    labels: Doubles
    accuracy: Doubles
    training: Doubles

    @classmethod
    def shared(cls, curves: Sequence[Curve], cap: int) -> Looks:
        """Collect curves.

        Args:
            curves: one or more curves, one a seed.
            cap: the budget cap.
        """
        common = curves[0].labels
        for curve in curves[1:]:
            common = np.intersect1d(common, curve.labels)
        common = np.unique(common[common <= cap])
        places = [np.searchsorted(curve.labels, common) for curve in curves]
        pairs = list(zip(curves, places, strict=True))
        return cls(
            common,
            np.stack([curve.accuracy[at] for curve, at in pairs]),
            np.stack([curve.training[at] for curve, at in pairs]),
        )

    @property
    def mean(self) -> Doubles:
        """Mean test accuracy over the seeds, shape (looks,)."""
        return np.asarray(self.accuracy.mean(axis=0), dtype=float)

    @property
    def middle(self) -> float:
        """The middle target: where half of the mean curve's rise is behind."""
        return float(self.mean[0] + self.mean[-1]) / 2
