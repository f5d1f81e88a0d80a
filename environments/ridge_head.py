"""A classifier head that is fitted in closed form, from nothing but the labelled samples.

Margins need probabilities, so the scores of a ridge regression go through a softmax whose
temperature is calibrated on leave-one-out predictions of the labelled samples: no other label is
needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import DoubleArray, IntArray
from fal_bench.environments.classifier import Classifier, LinearHead, softmax
from fal_bench.errors import InvalidSpecError

_SHARPNESS = (0.1, 200.0)
_BISECTIONS = 16


@dataclass(frozen=True)
class RidgeFit:
    """Fits one-hot labels by ridge regression with an intercept; a ``Fit``.

    Attributes:
        penalty: the L2 penalty, relative to the mean squared norm of the centred features.
    """

    penalty: float = 0.3

    def __post_init__(self) -> None:
        if not self.penalty > 0:
            raise InvalidSpecError(f"The ridge penalty must be positive, not {self.penalty}.")

    def __call__(self, features: NDArray[Any], labels: IntArray, n_classes: int) -> Classifier:
        """Fit a head.

        Args:
            features: shape (n, d), n >= 1.
            labels: shape (n,), in [0, n_classes).
            n_classes: number of classes.
        """
        if features.ndim != 2:
            raise InvalidSpecError(
                f"A ridge head needs flat features, not rows of shape {features.shape[1:]}."
            )
        wide = features.astype(np.float64)
        centre, targets = wide.mean(axis=0), np.eye(n_classes)[labels]
        prior = targets.mean(axis=0)
        weights, left_out = _ridge(wide - centre, targets - prior, self.penalty)
        sharpness = _calibrate(left_out + prior, labels)
        return LinearHead(
            (sharpness * weights).astype(features.dtype),
            (sharpness * (prior - centre @ weights)).astype(features.dtype),
        )


def _ridge(x: DoubleArray, y: DoubleArray, penalty: float) -> tuple[DoubleArray, DoubleArray]:
    """Solve a centred ridge regression.

    Leave-one-out predictions follow from the leverages h: y - (y - prediction) / (1 - h), with
    1/n in h for the intercept (Hastie et al., "The Elements of Statistical Learning", section
    7.10). The smaller of the n x n and the d x d system is solved.

    Returns:
        weights (d, n_classes) and centred leave-one-out predictions (n, n_classes).
    """
    n, d = x.shape
    strength = penalty * max(float(np.square(x).sum()) / n, np.finfo(np.float64).tiny)
    if n < d:
        inverse = np.linalg.inv(x @ x.T + strength * np.eye(n))
        dual = inverse @ y
        weights, residuals = x.T @ dual, strength * dual
        slack = strength * np.diagonal(inverse) - 1 / n
    else:
        inverse = np.linalg.inv(x.T @ x + strength * np.eye(d))
        projected = x @ inverse
        weights = projected.T @ y
        residuals = y - x @ weights
        slack = 1 - 1 / n - np.einsum("ij,ij->i", projected, x)
    left_out = y - residuals / np.maximum(slack, 1e-9)[:, None]
    return weights, left_out


def _calibrate(scores: DoubleArray, labels: IntArray) -> float:
    """Return the inverse temperature that minimises the log loss of softmax(scores * it).

    The loss is convex in it; its derivative is bisected on a logarithmic scale between bounds, of
    which one is returned where the minimum lies outside. With one sample nothing can be left out,
    and its label alone cannot calibrate: the scores stay as they are.

    Args:
        scores: leave-one-out scores, shape (n, n_classes).
        labels: shape (n,).
    """
    if len(labels) < 2:
        return 1.0
    low, high = np.log(_SHARPNESS)
    scores = scores - scores.max(axis=1, keepdims=True)
    true_mean = scores[np.arange(len(labels)), labels].mean()
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        expected = np.einsum("ij,ij->i", softmax(np.exp(middle) * scores), scores).mean()
        if expected > true_mean:  # the loss still rises: less sharp
            high = middle
        else:
            low = middle
    return float(np.exp((low + high) / 2))
