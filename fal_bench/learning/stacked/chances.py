"""What chance does to each slot: distortions of its samples, dropout, mixtures beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fal_bench.arrays import BoolArray, FloatArray, IntArray
from fal_bench.learning.chance import Distortions, Dropout, Mixtures, drop_mask
from fal_bench.learning.kernels.batch import PADDING, MixedRows, Samples
from fal_bench.learning.request import Lane, augmentation_of, mixed_rows
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

    def mask(self, lanes: Sequence[Lane], counts: IntArray) -> FloatArray | None:
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
            kept[slot, :count] = drop_mask(share, int(count), width, lane.rng)
        return kept

    def keep(self, slots: list[int]) -> None:
        """Keep only ``slots``, in this order."""
        if self._distorts:
            self._flips, self._shifts = self._flips[slots], self._shifts[slots]


class MixedSlots:
    """The mixtures of each slot's epoch.

    Args:
        samples: of the lanes, labelled and unlabelled.
        training: their recipe.
        concentration: of the mixing weights.
        shape: slots, steps of the longest epoch, rows of a batch.
    """

    def __init__(
        self,
        samples: Samples,
        training: LocalTraining,
        concentration: float,
        shape: tuple[int, int, int],
    ) -> None:
        self._samples = samples
        self._training = training
        self._concentration = concentration
        self._rows: IntArray = np.full(shape, PADDING)
        self._partner: IntArray = np.broadcast_to(np.arange(shape[2]), shape).copy()
        self._weight: FloatArray = np.ones(shape, dtype=np.float32)
        self._counts: IntArray = np.zeros(shape[0], dtype=np.int64)

    def draw_epoch(self, slot: int, number: int, lane: Lane, steps: int) -> None:
        """Draw the mixtures of a lane's next epoch."""
        self._clear(slot)
        if lane.unlabelled is None or not len(lane.unlabelled):
            return
        rows = mixed_rows(len(lane.labels), self._training.batch_size)
        drawn = Mixtures.draw(len(lane.unlabelled), steps, rows, self._concentration, lane.rng)
        offset = self._samples.unlabelled_offsets[number]
        self._rows[slot, :steps, :rows] = drawn.first + offset
        self._partner[slot, :steps, :rows] = drawn.partner
        self._weight[slot, :steps, :rows] = drawn.weight
        self._counts[slot] = rows

    def at(self, step: IntArray) -> MixedRows:
        """Return the mixtures of each slot's own step, shape of ``step`` (slots,)."""
        slots = np.arange(len(step))
        return MixedRows(
            self._samples,
            self._rows[slots, step],
            self._partner[slots, step],
            self._weight[slots, step],
            self._counts,
        )

    def keep(self, slots: list[int]) -> None:
        """Keep only ``slots``, in this order."""
        self._rows, self._partner = self._rows[slots], self._partner[slots]
        self._weight, self._counts = self._weight[slots], self._counts[slots]

    def _clear(self, slot: int) -> None:
        self._rows[slot] = PADDING
        self._partner[slot] = np.arange(self._rows.shape[2])
        self._weight[slot] = 1
        self._counts[slot] = 0
