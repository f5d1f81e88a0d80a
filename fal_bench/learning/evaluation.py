"""Measuring metrics on what a model says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fal_bench.plugins.metric import Metric


def evaluate(
    metrics: Sequence[Metric],
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    clients: NDArray[np.int64] | None = None,
) -> dict[str, float]:
    """Return metrics by name, without those that ask for clients where these are not known.

    Args:
        metrics: the metrics.
        logits: outputs of a model, shape (n, n_classes).
        labels: true classes, shape (n,).
        clients: the client that holds each sample, shape (n,).

    Raises:
        PluginError: a metric cannot be computed.
    """
    log_probs = logits.astype(np.float64)
    log_probs -= log_probs.max(axis=1, keepdims=True)
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    given = {"labels": labels, "probs": np.exp(log_probs), "log_probs": log_probs}
    if clients is not None:
        given["clients"] = clients
    for array in given.values():
        array.setflags(write=False)  # metrics share them
    wanted = [one for one in metrics if given.keys() >= set(one.inputs)]
    return {one.name: one.measure(given) for one in wanted}
