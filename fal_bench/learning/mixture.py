"""Mixtures of a client's unlabelled samples, for trainers that learn from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fal_bench.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Mixtures:
    """Which samples are mixed in the steps of one epoch, and how.

    Mixture r of a step is weight[r] * x[first[r]] + (1 - weight[r]) * x[first[partner[r]]].

    Attributes:
        first: positions among the unlabelled samples, shape (steps, rows).
        partner: rows of the same step, a permutation of each step's rows, shape (steps, rows).
        weight: shape (steps, rows).
    """

    first: IntArray
    partner: IntArray
    weight: FloatArray

    @classmethod
    def draw(
        cls, count: int, steps: int, rows: int, concentration: float, rng: np.random.Generator
    ) -> Mixtures:
        """Draw one epoch's mixtures.

        Args:
            count: number of unlabelled samples, at least 1; drawn with replacement.
            steps: steps of the epoch.
            rows: mixtures a step.
            concentration: a of the weights' Beta(a, a) law.
            rng: the lane's stream.
        """
        first = rng.integers(count, size=(steps, rows))
        partner = rng.permuted(np.tile(np.arange(rows), (steps, 1)), axis=1)
        weight = rng.beta(concentration, concentration, size=(steps, rows)).astype(np.float32)
        return cls(first, partner, weight)
