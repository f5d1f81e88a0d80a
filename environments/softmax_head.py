"""A classifier head that starts at the global model's: what finetuning the model would do.

The features of all samples under the current global model are computed once, and only the last
layer is trained, as a softmax regression stopped after a fixed number of steps. Like the real
model, and unlike a head fitted from nothing, it keeps what the global head knows of classes that
the labelled samples lack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import IntArray, RealArray
from fal_bench.environments.classifier import Classifier, LinearHead, softmax
from fal_bench.errors import InvalidSpecError


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
