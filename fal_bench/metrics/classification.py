"""How often predicted classes are right, over all samples and class by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fal_bench.plugins.metric import metric

Labels = NDArray[np.int64]
Probs = NDArray[np.float64]


@metric(share=True)
def accuracy(labels: Labels, probs: Probs) -> float:
    """Share of correct predictions."""
    return float((probs.argmax(axis=1) == labels).mean())


@metric(share=True)
def precision(labels: Labels, probs: Probs) -> float:
    """Precision of each class, averaged with the true class frequencies as weights.

    A class that is never predicted has precision 0 (the metric of the FedRAL paper).
    """
    return weighted_precision(probs.argmax(axis=1), labels, probs.shape[1])


@metric(share=True)
def balanced_accuracy(labels: Labels, probs: Probs) -> float:
    """Recall of each class, averaged over the classes that occur."""
    hits, _, support = _counts(probs.argmax(axis=1), labels, probs.shape[1])
    present = support > 0
    return float((hits[present] / support[present]).mean())


@metric(share=True)
def macro_f1(labels: Labels, probs: Probs) -> float:
    """F1 score of each class, averaged over the classes that occur."""
    hits, claims, support = _counts(probs.argmax(axis=1), labels, probs.shape[1])
    present = support > 0
    return float((2 * hits[present] / (claims[present] + support[present])).mean())


@metric(share=True)
def auroc(labels: Labels, probs: Probs) -> float:
    """Area under the ROC curve of each class against the rest, averaged over the classes.

    Classes that do not occur, or that all samples have, are left out; NaN if none is left.
    Equal to the Mann-Whitney statistic: the chance that a sample of the class has a higher
    probability of it than a sample of another class, ties counted as one half.
    """
    areas = []
    columns = np.ascontiguousarray(probs.T)
    for column, ordered, label in zip(columns, np.sort(columns), range(len(columns)), strict=True):
        own = column[labels == label]
        others = len(labels) - len(own)
        if len(own) and others:
            below = (
                np.searchsorted(ordered, own).sum() + np.searchsorted(ordered, own, "right").sum()
            )
            # Of the pairs within the class half count, since every tie counts one half.
            areas.append((below - len(own) ** 2) / (2 * len(own) * others))
    return float(np.mean(areas)) if areas else float("nan")


@metric(samples="train", share=True)
def train_accuracy(labels: Labels, probs: Probs) -> float:
    """Share of correct predictions on the labels that the global model was trained with."""
    return float((probs.argmax(axis=1) == labels).mean())


def weighted_precision(predicted: NDArray[np.int64], labels: Labels, n_classes: int) -> float:
    """Return the class precisions averaged with the true class frequencies as weights.

    Args:
        predicted: predicted classes, shape (n,).
        labels: true classes, shape (n,).
        n_classes: number of classes.
    """
    hits, claims, support = _counts(predicted, labels, n_classes)
    precisions = np.divide(hits, claims, out=np.zeros(n_classes), where=claims > 0)
    return float(precisions @ support / len(labels))


def _counts(
    predicted: NDArray[np.int64], labels: Labels, n_classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each class is predicted rightly, is predicted, and occurs."""
    return (
        np.bincount(labels[predicted == labels], minlength=n_classes),
        np.bincount(predicted, minlength=n_classes),
        np.bincount(labels, minlength=n_classes),
    )
