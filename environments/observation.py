"""What an agent sees: the distribution of the classifier's margins."""

from __future__ import annotations

import numpy as np

from fal_bench.acquisition.scores import top_two_margin
from fal_bench.arrays import FloatArray, RealArray


def margin_quantiles(probs: RealArray, count: int) -> FloatArray:
    """Return evenly spaced quantiles of the top-two margins, from the least to the largest.

    Args:
        probs: predicted probabilities, shape (n, n_classes). With no sample left there is no
            uncertainty left: all quantiles are 1.
        count: how many quantiles.

    Returns:
        Shape (count,), ascending, from 0 to 1.
    """
    if not len(probs):
        return np.ones(count, dtype=np.float32)
    margins = np.sort(top_two_margin(probs).astype(np.float64))
    positions = np.linspace(0, len(margins) - 1, count)
    quantiles = np.interp(positions, np.arange(len(margins)), margins)
    return np.clip(quantiles, 0, 1).astype(np.float32)
