"""Measuring metrics on what a model says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fal_bench.plugins.metric import Metric


def evaluate(
    metrics: Sequence[Metric], logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Return metrics by name.

    Args:
        metrics: the metrics.
        logits: outputs of a model, shape (n, n_classes).
        labels: true classes, shape (n,).

    Raises:
        PluginError: a metric cannot be computed.
    """
    log_probs = logits.astype(np.float64)
    log_probs -= log_probs.max(axis=1, keepdims=True)
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    given = {"labels": labels, "probs": np.exp(log_probs), "log_probs": log_probs}
    for array in given.values():
        array.setflags(write=False)  # metrics share them
    return {one.name: one.measure(given) for one in metrics}
