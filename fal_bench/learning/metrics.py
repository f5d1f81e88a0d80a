"""Figures of merit of a model on labelled data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Metrics:
    """How good a model is on a labelled set.

    Attributes:
        accuracy: share of correct predictions.
        precision: precision per class, averaged with the true class frequencies; a class that is
            never predicted has precision 0 (the FedRAL paper's metric).
        loss: mean cross-entropy, in nats.
    """

    accuracy: float
    precision: float
    loss: float

    @classmethod
    def of(cls, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Metrics:
        """Compute the figures from logits (n, n_classes) and labels (n,)."""
        predicted = logits.argmax(axis=1)
        wide = logits.astype(np.float64)
        wide -= wide.max(axis=1, keepdims=True)
        log_norm = np.log(np.exp(wide).sum(axis=1))
        true_logits = wide[np.arange(len(labels)), labels]
        return cls(
            accuracy=float((predicted == labels).mean()),
            precision=weighted_precision(predicted, labels, logits.shape[1]),
            loss=float((log_norm - true_logits).mean()),
        )

    @classmethod
    def mean(cls, several: list[Metrics]) -> Metrics:
        """Average the figures of several evaluations."""
        return cls(
            accuracy=float(np.mean([one.accuracy for one in several])),
            precision=float(np.mean([one.precision for one in several])),
            loss=float(np.mean([one.loss for one in several])),
        )


def weighted_precision(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int
) -> float:
    """Return the class precisions averaged with the true class frequencies as weights."""
    hits = np.bincount(labels[predicted == labels], minlength=n_classes)
    claims = np.bincount(predicted, minlength=n_classes)
    support = np.bincount(labels, minlength=n_classes)
    precision = np.divide(hits, claims, out=np.zeros(n_classes), where=claims > 0)
    return float(precision @ support / len(labels))
