"""What annotators say: true labels, or wrong ones at a known rate."""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import DoubleArray, IntArray
from fal_bench.task import Annotators, ConfusedAnnotators, NoisyAnnotators


def annotated(
    labels: IntArray, annotators: Annotators, n_classes: int, rng: np.random.Generator
) -> IntArray:
    """Return the label that annotators give each sample, shape of ``labels`` (n,).

    One number is drawn a sample, so that with the same stream the labels that are wrong at a low
    rate are wrong at a higher one, too.

    Args:
        labels: true labels.
        annotators: how often which label is said.
        n_classes: number of classes.
        rng: the stream that decides which samples it is.
    """
    drawn = rng.random(len(labels))
    said: IntArray
    match annotators:
        case NoisyAnnotators(rate=rate):
            # The part of [0, 1) below the rate is shared equally by the other classes.
            ahead = 1 + np.floor(drawn / rate * (n_classes - 1)).astype(np.int64)
            said = np.where(drawn < rate, (labels + ahead) % n_classes, labels)
            return said
        case ConfusedAnnotators(confusion=rows):
            upper: DoubleArray = np.cumsum(rows, axis=1)[labels]
            said = np.minimum((drawn[:, None] >= upper).sum(axis=1), n_classes - 1)
            return said
    return labels
