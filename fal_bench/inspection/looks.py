"""Learning curves as arrays, read from the tidy frame at the labels of their models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fal_bench.stats.crossing import find_crossing
from fal_bench.task.target import ACCURACY

Doubles = NDArray[np.float64]

TRAINING = "train_accuracy"


@dataclass(frozen=True)
class Judged:
    """The metric by which a task is judged.

    Attributes:
        metric: its name.
        higher_is_better: whether a target is reached from below.
        share: whether all values are between 0 and 1.
    """

    metric: str = ACCURACY
    higher_is_better: bool = True
    share: bool = True

    @property
    def sign(self) -> int:
        """What values are multiplied by so that higher ones are better."""
        return 1 if self.higher_is_better else -1


BY_ACCURACY = Judged()


@dataclass(frozen=True, eq=False)
class Curve:
    """One run at its looks: each describes the model trained with the labels of that look.

    Attributes:
        labels: labels bought from the query pool, initial ones included, shape (looks,).
        values: the judged metric, times its sign, shape (looks,): higher is better.
        training: accuracy on the labels that the model was trained with, shape (looks,); NaN where
            it was not recorded.
    """

    labels: Doubles
    values: Doubles
    training: Doubles

    @classmethod
    def read(cls, rows: pd.DataFrame, judged: Judged = BY_ACCURACY) -> Curve:
        """Read the rows of one run.

        Args:
            rows: the rows.
            judged: the metric that is read.
        """
        rows = rows.sort_values("cycle")
        unknown = pd.Series(np.nan, index=rows.index)
        labels, values, training = (
            np.asarray(rows.get(name, unknown), dtype=float)
            for name in ("labels", judged.metric, TRAINING)
        )
        return cls(labels, judged.sign * values, training)

    def labels_to(self, target: float, cap: int) -> float:
        """Return the labels at which the values reach a target and stay; NaN if they do not.

        Args:
            target: the value.
            cap: the budget cap; a look beyond it only confirms.
        """
        within = int(np.searchsorted(self.labels, cap, side="right"))
        crossing = find_crossing(self.values, target, within=within)
        found = crossing.interpolated(self.labels, cap)
        return found.labels if found.reached else np.nan


@dataclass(frozen=True, eq=False)
class Looks:
    """The runs of one strategy with the same seeds, at the looks that all of them share.

    Attributes:
        labels: labels of the looks up to the cap, shape (looks,).
        values: the judged metric, times its sign, shape (seeds, looks).
        training: training accuracy, shape (seeds, looks).
    """

    labels: Doubles
    values: Doubles
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
            np.stack([curve.values[at] for curve, at in pairs]),
            np.stack([curve.training[at] for curve, at in pairs]),
        )

    @property
    def mean(self) -> Doubles:
        """Mean value over the seeds, shape (looks,)."""
        return np.asarray(self.values.mean(axis=0), dtype=float)

    @property
    def middle(self) -> float:
        """The middle target: where half of the mean curve's rise is behind."""
        return float(self.mean[0] + self.mean[-1]) / 2
