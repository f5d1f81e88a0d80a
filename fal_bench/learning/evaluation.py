"""Measuring metrics on what a model says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.plugins.metric import Metric, MetricError


def evaluate(
    metrics: Sequence[Metric],
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    clients: NDArray[np.int64] | None = None,
    *,
    unrecorded: dict[str, str] | None = None,
) -> dict[str, float]:
    """Return metrics by name; one that cannot be measured is NaN, and costs no other its value.

    Those that ask for clients are left out where these are not known.

    Args:
        metrics: the metrics.
        logits: outputs of a model, shape (n, n_classes).
        labels: true classes, shape (n,).
        clients: the client that holds each sample, shape (n,).
        unrecorded: why metrics cannot be measured, by name: those that failed before, which are
            not called again, and, afterwards, those that failed now.
    """
    failed = {} if unrecorded is None else unrecorded
    log_probs = logits.astype(np.float64)
    log_probs -= log_probs.max(axis=1, keepdims=True)
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    given = {"labels": labels, "probs": np.exp(log_probs), "log_probs": log_probs}
    if clients is not None:
        given["clients"] = clients
    for array in given.values():
        array.setflags(write=False)  # metrics share them
    wanted = [one for one in metrics if given.keys() >= set(one.inputs)]
    return {one.name: _measured(one, given, failed) for one in wanted}


def _measured(metric: Metric, given: Mapping[str, NDArray[Any]], failed: dict[str, str]) -> float:
    if metric.name not in failed:
        try:
            return metric.measure(given)
        except MetricError as error:
            failed[metric.name] = str(error)
    return math.nan
