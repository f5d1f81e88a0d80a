"""Training requests: the one way in which anybody has a model trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fal_bench.learning.model import Architecture, Weights
from fal_bench.needs import LocalTraining

IntArray = NDArray[np.int64]


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
    """

    architecture: Architecture
    training: LocalTraining
    lanes: tuple[Lane, ...]


@dataclass(frozen=True)
class Trained:
    """The answer to a request.

    Attributes:
        weights: the trained weights of each lane, in order.
        seconds: the time spent on this request.
    """

    weights: tuple[Weights, ...]
    seconds: float


def batches(count: int, batch_size: int, rng: np.random.Generator) -> list[IntArray]:
    """Return one epoch's batches: a random order of ``count`` samples, the last batch shorter."""
    order = rng.permutation(count)
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]
