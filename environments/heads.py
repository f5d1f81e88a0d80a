"""The classifiers inside episodes: linear heads, fitted again after every batch.

``RidgeFit`` starts from nothing and is solved in closed form. Margins need probabilities, so its
scores go through a softmax whose temperature is calibrated on leave-one-out predictions of the
labelled samples: no other label is needed.

``SoftmaxFit`` starts at the global model's head, as finetuning the model would: the features of all
samples under the current global model are computed once, and only the last layer is trained, for a
fixed number of steps. Unlike a head fitted from nothing, it keeps what the global head knows of
classes that the labelled samples lack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import DoubleArray, IntArray, RealArray
from fal_bench.errors import InvalidSpecError

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
    strength = max(penalty * (float(np.square(x).sum()) / n), np.finfo(np.float64).tiny)
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


@dataclass(frozen=True, eq=False)
class SoftmaxFit:
    """Trains a head by full-batch gradient descent with momentum; a ``Fit``.

    Attributes:
        weights: the head's initial weights, those of the global model; shape (d, n_classes).
        bias: its initial bias; shape (n_classes,).
        steps: gradient steps.
        rate: step size times the mean squared norm of the features, the intercept's 1 included.
            The cross-entropy's curvature is at most half that norm, so descent is stable below
            4 (1 + momentum).
        momentum: heavy-ball momentum.
    """

    weights: RealArray
    bias: RealArray
    steps: int = 50
    rate: float = 4.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[1:]:
            raise InvalidSpecError(
                f"A head needs weights (d, n_classes) and a bias (n_classes,), not shapes "
                f"{self.weights.shape} and {self.bias.shape}."
            )
        stable = 0 <= self.momentum < 1 and 0 < self.rate < 4 * (1 + self.momentum)
        if not stable or self.steps < 1:
            raise InvalidSpecError(
                "A softmax head needs steps of at least 1, a momentum in [0, 1) and a rate "
                f"between 0 and 4 (1 + momentum), not {self.steps}, {self.momentum}, {self.rate}."
            )

    def __call__(self, features: NDArray[Any], labels: IntArray, n_classes: int) -> Classifier:
        """Train on features (n, d) and labels (n,); the head sets the number of classes.

        Raises:
            InvalidSpecError: features or classes are not those of the initial head.
        """
        if features.ndim != 2 or (features.shape[1], n_classes) != self.weights.shape:
            raise InvalidSpecError(
                f"The initial head maps {self.weights.shape[0]} features to "
                f"{self.weights.shape[1]} classes; the data have rows of shape "
                f"{features.shape[1:]} and {n_classes} classes."
            )
        inputs = np.column_stack([features, np.ones(len(features))]).astype(features.dtype)
        targets = np.eye(n_classes, dtype=features.dtype)[labels]
        norm = np.square(inputs, dtype=np.float64).sum() / len(inputs)
        rate = (self.rate / norm / len(inputs)).astype(features.dtype)
        descent = np.ascontiguousarray(inputs.T) * rate
        head = np.vstack([self.weights, self.bias]).astype(features.dtype)
        velocity = np.zeros_like(head)
        for _ in range(self.steps):
            velocity *= self.momentum
            velocity -= descent @ (softmax(inputs @ head) - targets)
            head += velocity
        return LinearHead(head[:-1], head[-1])
