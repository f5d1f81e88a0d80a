"""What chance does to the samples and activations of each slot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fal_bench.arrays import BoolArray, FloatArray, IntArray
from fal_bench.learning.chance import Distortions, Dropout, drop_mask
from fal_bench.learning.request import Lane, augmentation_of
from fal_bench.plugins.needs import LocalTraining


class SlotChances:
    """The distortions of each slot's epoch, and the dropout of each step.

    Args:
        training: the recipe.
        dropout: the network's dropout, if it has one.
        shape: slots, steps of the longest epoch, rows of a batch.
        size: height and width of an image.
    """

    def __init__(
        self,
        training: LocalTraining,
        dropout: Dropout | None,
        shape: tuple[int, int, int],
        size: tuple[int, int],
    ) -> None:
        self._training = training
        self._kind = augmentation_of(training)
        self._dropout = dropout
        self._size = size
        self._rows = shape[2]
        self._distorts = self._kind != "none"
        drawn = shape if self._distorts else (0, 0, 0)
        self._flips: BoolArray = np.zeros(drawn, dtype=np.bool_)
        self._shifts: IntArray = np.zeros((*drawn, 2), dtype=np.int64)

    def draw_epoch(self, slot: int, lane: Lane, steps: int) -> None:
        """Draw the distortions of a lane's next epoch."""
        if not self._distorts:
            return
        size = self._training.batch_size
        drawn = Distortions.draw(self._kind, steps, size, self._size, lane.rng)
        fitting = min(size, self._rows)
        self._flips[slot, :steps, :fitting] = drawn.flips[:, :fitting]
        self._shifts[slot, :steps, :fitting] = drawn.shifts[:, :fitting]

    def distortion(self, step: IntArray) -> tuple[BoolArray, IntArray] | None:
        """Return flips and shifts at each slot's own step; None without augmentation."""
        if not self._distorts:
            return None
        slots = np.arange(len(step))
        return self._flips[slots, step], self._shifts[slots, step]

    def mask(self, lanes: Sequence[Lane | None], counts: IntArray) -> FloatArray | None:
        """Draw what dropout keeps in one step, shape (slots, rows, width); None without it.

        Args:
            lanes: the lane in each slot.
            counts: samples in each slot's batch.
        """
        if self._dropout is None:
            return None
        share, width = self._dropout.share, self._dropout.width
        kept = np.zeros((len(lanes), self._rows, width), dtype=np.float32)
        for slot, (lane, count) in enumerate(zip(lanes, counts, strict=True)):
            if lane is not None:
                kept[slot, :count] = drop_mask(share, int(count), width, lane.rng)
        return kept

    def keep(self, slots: list[int]) -> None:
        """Keep only ``slots``, in this order."""
        if self._distorts:
            self._flips, self._shifts = self._flips[slots], self._shifts[slots]
