"""Acquisition scores on predicted probabilities, and picking the extremes of a score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]


def top_two_margin(probs: FloatArray) -> FloatArray:
    """Return the difference of the two largest probabilities of each sample.

    Scheffer et al., "Active Hidden Markov Models for Information Extraction", 2001.

    Args:
        probs: shape (n, n_classes), with at least two classes.

    Returns:
        Shape (n,); small where the model hesitates between two classes.
    """
    two = np.partition(probs, probs.shape[1] - 2, axis=1)[:, -2:]
    margin: FloatArray = two[:, 1] - two[:, 0]
    return margin


def confidence(probs: FloatArray) -> FloatArray:
    """Return the probability of each sample's predicted class.

    Args:
        probs: shape (n, n_classes).

    Returns:
        Shape (n,); small where the model is not sure of its prediction.
    """
    top: FloatArray = probs.max(axis=1)
    return top


def entropy(probs: FloatArray) -> FloatArray:
    """Return the Shannon entropy of each sample's prediction, in nats.

    Args:
        probs: shape (n, n_classes); zeros contribute nothing.

    Returns:
        Shape (n,); large where the model is uncertain.
    """
    logs = np.log(probs, out=np.zeros_like(probs), where=probs > 0)
    result: FloatArray = -(probs * logs).sum(axis=1)
    return result


def smallest(scores: FloatArray, count: int) -> IntArray:
    """Return the positions of the ``count`` smallest scores, smallest first.

    Ties go to the earlier position, so the result is unique. At most ``len(scores)`` positions
    are returned.

    Raises:
        ValueError: a score is NaN, so that an order would be arbitrary.
    """
    if np.isnan(scores).any():
        raise ValueError("a score is NaN: the order of the samples would be arbitrary")
    return np.argsort(scores, kind="stable")[:count].astype(np.int64)


def largest(scores: FloatArray, count: int) -> IntArray:
    """Return the positions of the ``count`` largest scores, largest first; see ``smallest``."""
    return smallest(-np.asarray(scores), count)
