"""Acquisition scores on predicted probabilities, and picking the extremes of a score."""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import IntArray, RealArray


def top_two_margin(probs: RealArray) -> RealArray:
    """Return the difference of the two largest probabilities of each sample.

    Scheffer et al., "Active Hidden Markov Models for Information Extraction", 2001.

    Args:
        probs: shape (n, n_classes), with at least two classes.

    Returns:
        Shape (n,); small where the model hesitates between two classes.
    """
    two = np.partition(probs, probs.shape[1] - 2, axis=1)[:, -2:]
    margin: RealArray = two[:, 1] - two[:, 0]
    return margin


def confidence(probs: RealArray) -> RealArray:
    """Return the probability of each sample's predicted class.

    Args:
        probs: shape (n, n_classes).

    Returns:
        Shape (n,); small where the model is not sure of its prediction.
    """
    top: RealArray = probs.max(axis=1)
    return top


def entropy(probs: RealArray) -> RealArray:
    """Return the Shannon entropy of each sample's prediction, in nats.

    Args:
        probs: shape (n, n_classes); zeros contribute nothing.

    Returns:
        Shape (n,); large where the model is uncertain.
    """
    logs = np.log(probs, out=np.zeros_like(probs), where=probs > 0)
    result: RealArray = -(probs * logs).sum(axis=1)
    return result


def smallest(scores: RealArray, count: int) -> IntArray:
    """Return the positions of the ``count`` smallest scores, smallest first.

    Ties go to the earlier position, so the result is unique. At most ``len(scores)`` positions
    are returned.

    Raises:
        ValueError: a score is NaN, so that an order would be arbitrary.
    """
    if np.isnan(scores).any():
        raise ValueError("a score is NaN: the order of the samples would be arbitrary")
    return np.argsort(scores, kind="stable")[:count].astype(np.int64)


def largest(scores: RealArray, count: int) -> IntArray:
    """Return the positions of the ``count`` largest scores, largest first; see ``smallest``."""
    return smallest(-np.asarray(scores), count)
