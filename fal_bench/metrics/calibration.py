"""How well predicted probabilities fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fal_bench.plugins.metric import metric

Labels = NDArray[np.int64]
Probs = NDArray[np.float64]

BINS = 15
"""Bins of the expected calibration error (Guo et al., ICML 2017)."""


@metric(higher_is_better=False)
def loss(labels: Labels, log_probs: Probs) -> float:
    """Mean cross-entropy (log loss), in nats."""
    return float(-log_probs[np.arange(len(labels)), labels].mean())


@metric(higher_is_better=False, share=True)
def calibration_error(labels: Labels, probs: Probs) -> float:
    """Expected calibration error of the predicted class, with 15 bins of equal width.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017: the mean difference between
    confidence and accuracy over the bins, weighted by their samples.
    """
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))
