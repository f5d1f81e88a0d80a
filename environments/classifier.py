"""The classifier inside episodes: fitted anew after every batch, to predict probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import IntArray, RealArray

Classifier = Callable[[NDArray[Any]], RealArray]
"""Maps features (n, ...) to probabilities (n, n_classes)."""

Fit = Callable[[NDArray[Any], IntArray, int], Classifier]
"""Fits a classifier to features (n, ...), labels (n,) and a number of classes, from scratch."""


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear layer and a softmax; a ``Classifier``.

    Attributes:
        weights: shape (d, n_classes).
        bias: shape (n_classes,).
    """

    weights: RealArray
    bias: RealArray

    def __call__(self, features: NDArray[Any]) -> RealArray:
        """Return probabilities (n, n_classes) of features (n, d)."""
        return softmax(features @ self.weights + self.bias)


def softmax(logits: RealArray) -> RealArray:
    """Return row-wise softmax probabilities of logits (n, n_classes)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: RealArray = powers / powers.sum(axis=1, keepdims=True)
    return result
