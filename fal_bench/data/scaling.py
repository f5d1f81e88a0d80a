"""Features of one scale."""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import FloatArray, RealArray


def standardised(train: RealArray, other: RealArray) -> tuple[FloatArray, FloatArray]:
    """Give each feature mean 0 and deviation 1 over the training samples.

    A feature that is constant there is only centred.

    Args:
        train: of the training samples; shape (n, d).
        other: of other samples; shape (m, d).
    """
    mean, deviation = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    # Squares of very small differences are zero.
    deviation[(np.ptp(train, axis=0) == 0) | (deviation == 0)] = 1
    one, rest = (((part - mean) / deviation).astype(np.float32) for part in (train, other))
    return one, rest
