"""How accurate the model is, with its interval, and whether more labels are worth their price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from fal_bench.deploy.config import Stopping
from fal_bench.stats import wilson_interval

_NEXT: Final = 100
_FEWEST_POINTS: Final = 4
_ONE_SIDED: Final = 0.90
"""The lower end of a two-sided interval of this level has a one-sided confidence of 95 %."""


@dataclass(frozen=True)
class Accuracy:
    """Predictions on evaluation labels.

    Attributes:
        right: how many were right.
        total: how many there were.
    """

    right: int
    total: int

    @property
    def share(self) -> float:
        """The share that was right; NaN of none."""
        return self.right / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of 95 %; NaN of none."""
        return wilson_interval(self.right, self.total) if self.total else (math.nan, math.nan)

    @property
    def surely_above(self) -> float:
        """What the accuracy is above with a confidence of 95 %; NaN of none."""
        return wilson_interval(self.right, self.total, level=_ONE_SIDED)[0] if self.total else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return counts, share and interval."""
        return {**asdict(self), "accuracy": self.share, "interval": list(self.interval)}


def expected_gain(labels: Sequence[int], accuracies: Sequence[float]) -> float | None:
    """Return what the next 100 labels are expected to add to the accuracy.

    A straight line of the accuracy over the logarithm of the labels, through the last half of the
    curve and no fewer than four points of it.

    Args:
        labels: labels of each model so far, growing.
        accuracies: their accuracies.

    Returns:
        None if the curve is too short to say.
    """
    points = max(_FEWEST_POINTS, math.ceil(len(labels) / 2))
    if len(labels) < points:
        return None
    slope, _ = np.polyfit(np.log(labels[-points:]), accuracies[-points:], 1)
    return float(slope * math.log((labels[-1] + _NEXT) / labels[-1]))


def reason_to_stop(
    stopping: Stopping, labels: Sequence[int], accuracies: Sequence[Accuracy]
) -> str | None:
    """Return why no more labels are bought, in one sentence; None if they are.

    Args:
        stopping: the rules.
        labels: labels of each model so far.
        accuracies: how accurate each was.
    """
    now = accuracies[-1]
    if stopping.target is not None and now.surely_above >= stopping.target:
        return (
            f"The accuracy is above {stopping.target:g} with a confidence of 95 % "
            f"({now.right} of {now.total} evaluation labels predicted)."
        )
    if stopping.gain is None:
        return None
    gain = expected_gain(labels, [one.share for one in accuracies])
    if gain is None or gain >= stopping.gain:
        return None
    return f"The next {_NEXT} labels are expected to add {gain:.4f} to the accuracy."
