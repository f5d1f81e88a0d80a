"""Mixtures of unlabelled samples, beside the batches of a block."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from torch import Tensor

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.learning.device import on_device
from fal_bench.learning.mixture import Mixtures
from fal_bench.learning.request import Lane, mixed_rows
from fal_bench.learning.stacked.batch import PADDING, Samples, shares_of
from fal_bench.plugins.needs import LocalTraining


@dataclass(frozen=True)
class MixedRows:
    """The mixtures of one step, for every slot.

    Attributes:
        samples: where the rows come from.
        rows: rows of ``samples``, ``PADDING`` where there is nothing to mix, shape (slots, rows).
        partner: see ``Mixtures``, shape (slots, rows).
        weight: see ``Mixtures``, shape (slots, rows).
        counts: mixtures of each slot, shape (slots,).
        frozen: whether a normalisation uses its running statistics and leaves them alone.
        kept: dropout leaves mixtures alone.
    """

    samples: Samples
    rows: IntArray
    partner: IntArray
    weight: FloatArray
    counts: IntArray
    frozen: bool = False
    kept: None = None

    @cached_property
    def by_lane(self) -> Tensor:
        """The mixtures, shape (slots, rows, C, H, W)."""
        first = self._chosen(self.rows)
        second = self._chosen(np.take_along_axis(self.rows, self.partner, axis=1))
        weight = (
            on_device(self.weight, first.device).to(first.dtype).view(*self.rows.shape, 1, 1, 1)
        )
        return weight * first + (1 - weight) * second

    @cached_property
    def shares(self) -> Tensor:
        """Weight of each mixture in its slot's mean loss, shape (slots, rows)."""
        return shares_of(self.counts, self.rows.shape[1], self.samples.features)

    @property
    def inside(self) -> Tensor:
        """1 for mixtures and 0 for padding, shape (slots, rows)."""
        return self.shares.sign()

    def for_start(self) -> MixedRows:
        """Return the same mixtures as the model that the round started from sees them."""
        return replace(self, frozen=True)

    def _chosen(self, rows: IntArray) -> Tensor:
        index = on_device(rows.reshape(-1), self.samples.device)
        chosen = self.samples.features.index_select(0, index)
        return chosen.view(*rows.shape, *chosen.shape[1:])


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
        self.clear(slot)
        if lane.unlabelled is None or not len(lane.unlabelled):
            return
        rows = mixed_rows(len(lane.labels), self._training.batch_size)
        drawn = Mixtures.draw(len(lane.unlabelled), steps, rows, self._concentration, lane.rng)
        offset = self._samples.unlabelled_offsets[number]
        self._rows[slot, :steps, :rows] = drawn.first + offset
        self._partner[slot, :steps, :rows] = drawn.partner
        self._weight[slot, :steps, :rows] = drawn.weight
        self._counts[slot] = rows

    def clear(self, slot: int) -> None:
        """Empty a slot."""
        self._rows[slot] = PADDING
        self._partner[slot] = np.arange(self._rows.shape[2])
        self._weight[slot] = 1
        self._counts[slot] = 0

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
