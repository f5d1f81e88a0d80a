"""What annotators say: true labels, wrong ones at a known rate, or what real raters said."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np

from fal_bench.arrays import DoubleArray, IntArray
from fal_bench.data.base import Dataset
from fal_bench.streams import Streams
from fal_bench.task import Annotators, ConfusedAnnotators, NoisyAnnotators, Raters

NO_VOTE: Final = -1
"""Stands for the vote of a rater who is not there."""

Votes = Callable[[int], IntArray]
"""Returns one vote on every training sample, shape (N,): of number 0, the label bought first, or
of number 1, 2, ..., those after it; ``NO_VOTE`` where no further rater is there."""

_VOTES_KEPT: Final = 8


def votes_of(annotators: Annotators, dataset: Dataset, streams: Streams) -> Votes:
    """Return the votes of a (task, seed): each is the same at every call.

    Args:
        annotators: who they are.
        dataset: true labels, and what raters said.
        streams: the streams of the (task, seed).
    """
    truth = dataset.train_labels.numpy()
    if isinstance(annotators, Raters):
        assert dataset.train_votes is not None
        in_turn = _in_turn(dataset.train_votes, streams.numpy("annotators"))
        absent = np.full(len(truth), NO_VOTE, dtype=np.int64)
        return lambda number: in_turn[number] if number < len(in_turn) else absent

    @lru_cache(maxsize=_VOTES_KEPT)
    def vote(number: int) -> IntArray:
        rng = streams.numpy("annotators", *([number] if number else []))
        return annotated(truth, annotators, dataset.n_classes, rng)

    return vote


def _in_turn(votes: IntArray, rng: np.random.Generator) -> IntArray:
    """Return the votes of each sample in random order, those that are none last.

    Args:
        votes: shape (samples, votes).
        rng: the stream that decides the order.

    Returns:
        Shape (votes, samples).
    """
    drawn = rng.random(votes.shape)
    drawn[votes < 0] = 1
    order = np.argsort(drawn, axis=1)
    ordered: IntArray = np.ascontiguousarray(np.take_along_axis(votes, order, axis=1).T)
    return ordered.astype(np.int64)


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
