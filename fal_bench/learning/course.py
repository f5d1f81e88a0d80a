"""The course of one local training on a GPU: what is drawn for its epochs, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fal_bench.arrays import BoolArray, FloatArray, IntArray
from fal_bench.learning.chance import Distortions, Dropout, drop_mask
from fal_bench.learning.request import (
    LR_DROP,
    Lane,
    augmentation_of,
    batch_edges,
    epoch_order,
)
from fal_bench.learning.stopping import Stopping
from fal_bench.plugins.needs import LocalTraining


@dataclass(frozen=True)
class Drawn:
    """What chance does in one epoch of n samples.

    Attributes:
        order: the samples in the order in which they are visited, shape (n,).
        flips: whether a visited sample is mirrored, shape (n,); None without augmentation.
        shifts: rows and columns by which it is moved, shape (n, 2); None without augmentation.
        masks: what dropout keeps of it, shape (n, d); None without dropout.
    """

    order: IntArray
    flips: BoolArray | None
    shifts: IntArray | None
    masks: FloatArray | None


class Course:
    """The epochs of one lane.

    Args:
        lane: the training, of at least one sample.
        training: the recipe.
        dropout: the network's, if it has one.

    Attributes:
        lane: the training.
        edges: where the batches of an epoch start and end, shape (steps + 1,).
    """

    def __init__(self, lane: Lane, training: LocalTraining, dropout: Dropout | None) -> None:
        self.lane = lane
        self.edges = batch_edges(lane.count, training.batch_size)
        self._training = training
        self._dropout = dropout
        self._stopping = Stopping(training, lane.count)
        self._taken = 0

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return len(self.edges) - 1

    @property
    def sizes(self) -> IntArray:
        """Samples of every step, shape (steps,)."""
        return np.diff(self.edges)

    def draw(self) -> Drawn:
        """Draw the next epoch, in the order in which the other engines draw."""
        order = epoch_order(self.lane.count, self.lane.rng)
        flips = shifts = masks = None
        kind = augmentation_of(self._training)
        if kind != "none":
            rows = self._training.batch_size
            height, width = self.lane.features.shape[2:]
            drawn = Distortions.draw(kind, self.steps, rows, (height, width), self.lane.rng)
            inside = np.arange(rows) < self.sizes[:, None]
            flips, shifts = drawn.flips[inside], drawn.shifts[inside]
        if self._dropout is not None:
            share, width = self._dropout.share, self._dropout.width
            parts = [drop_mask(share, int(size), width, self.lane.rng) for size in self.sizes]
            masks = np.concatenate(parts)
        return Drawn(order, flips, shifts, masks)

    def rates(self) -> FloatArray:
        """Return the learning rates of the next epoch's steps, shape (steps,)."""
        recipe = self._training
        rates = np.full(self.steps, recipe.lr)
        if recipe.lr_drop_step is not None:
            rates[max(recipe.lr_drop_step - self._taken, 0) :] *= LR_DROP
        return rates

    def end_epoch(self, correct: int, loss: float) -> bool:
        """Count an epoch; return whether it was the last one.

        Args:
            correct: samples that are classified correctly after it, in evaluation mode; not read
                if the recipe does not stop by accuracy.
            loss: the sum of its samples' losses; not read if the recipe has no patience.
        """
        self._taken += self.steps
        self._stopping.count(loss)
        return self._stopping.end_epoch(correct)

    @property
    def taken(self) -> int:
        """Steps of the epochs that have ended."""
        return self._taken
