"""Training requests: the one way in which anybody has a model trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fal_bench.learning.model import Architecture, Weights
from fal_bench.needs import LocalTraining

IntArray = NDArray[np.int64]

LR_DROP = 0.1
"""What is left of the learning rate after ``LocalTraining.lr_drop_step`` updates."""


@dataclass(frozen=True)
class Lane:
    """One local training.

    Attributes:
        start: the weights to start from; left as they are.
        features: the samples, shape (n, C, H, W); n may be 0, which returns ``start``.
        labels: their labels, shape (n,).
        rng: the stream of the batch order.
    """

    start: Weights
    features: Tensor
    labels: Tensor
    rng: np.random.Generator


@dataclass(frozen=True)
class TrainRequest:
    """Local trainings of one architecture by one recipe, independent of each other.

    Attributes:
        architecture: what is trained.
        training: how it is trained.
        lanes: one training each.
        key: what is asked for, in words that no other training shares; requests with the same key
            are trained once and get the same answer.
    """

    architecture: Architecture
    training: LocalTraining
    lanes: tuple[Lane, ...]
    key: str | None = None


@dataclass(frozen=True)
class Trained:
    """The answer to a request.

    Attributes:
        weights: the trained weights of each lane, in order.
        seconds: the time spent on this request: its share, by updates, of the time spent on all
            requests that were trained with it.
    """

    weights: tuple[Weights, ...]
    seconds: float


def epoch_order(count: int, rng: np.random.Generator) -> IntArray:
    """Return the random order in which one epoch visits ``count`` samples."""
    return rng.permutation(count)


def batches(count: int, batch_size: int, rng: np.random.Generator) -> list[IntArray]:
    """Return one epoch's batches: its order cut into pieces, the last one shorter."""
    order = epoch_order(count, rng)
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]
