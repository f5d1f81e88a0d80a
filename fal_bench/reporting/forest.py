"""The hero of the page: the saving of each strategy with its interval, along one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from fal_bench.reporting.columns import Row

_FURTHEST: Final = 0.6
"""Losses beyond this are drawn at the edge, since they would squeeze all others."""
_STEPS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_MOST_TICKS: Final = 6


@dataclass(frozen=True)
class Mark:
    """Where a saving and its interval lie, in percent of the axis.

    Attributes:
        at: the saving.
        low: left end of the interval; None without an interval.
        high: right end; None without one.
        beyond: whether the saving lies off the left edge.
    """

    at: float
    low: float | None
    high: float | None
    beyond: bool


@dataclass(frozen=True)
class Axis:
    """An axis of savings, from loss on the left to saving on the right.

    Attributes:
        low: the saving at its left end.
        high: the saving at its right end.
        step: savings from one tick to the next.
    """

    low: float
    high: float
    step: float

    def place(self, saving: float) -> float:
        """Return where a saving lies, in percent; what lies outside is at the edge."""
        share = (saving - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    @property
    def ticks(self) -> list[tuple[float, float]]:
        """Where the ticks lie, and their savings; 0 is among them."""
        first, last = math.ceil(self.low / self.step), math.floor(self.high / self.step)
        savings = [self.step * number for number in range(first, last + 1)]
        return [(self.place(one), one) for one in savings]

    def mark(self, row: Row) -> Mark | None:
        """Return the mark of a row; None without a saving."""
        saving, low, high = _numbers(row)
        if math.isnan(saving):
            return None
        none = math.isnan(low) and math.isnan(high)
        return Mark(
            self.place(saving),
            None if none else 0.0 if math.isnan(low) else self.place(low),
            None if none else 100.0 if math.isnan(high) else self.place(high),
            beyond=saving < self.low,
        )


def axis_of(rows: Sequence[Row]) -> Axis | None:
    """Return the axis on which all of these savings are seen; None if there is none.

    Args:
        rows: rows of a leaderboard.
    """
    numbers = np.array([_numbers(row) for row in rows])
    known = numbers[~np.isnan(numbers)]
    if not known.size:
        return None
    low = max(min(float(known.min()), -0.05), -_FURTHEST)
    high = max(float(known.max()), 0.1)
    step: float = next(one for one in _STEPS if (high - low) / one <= _MOST_TICKS)
    margin = 0.02 * (high - low)
    return Axis(low - margin, high + margin, step)


def _numbers(row: Row) -> tuple[float, float, float]:
    return row["saving_vs_random"], row["saving_low"], row["saving_high"]


Tone = Literal["better", "worse", "baseline", "unsure"]


def tone(verdict: str) -> Tone:
    """Return how a verdict is drawn: what is not sure looks the same, whatever the reason."""
    tones: dict[str, Tone] = {"better": "better", "worse": "worse", "baseline": "baseline"}
    return tones.get(verdict, "unsure")
