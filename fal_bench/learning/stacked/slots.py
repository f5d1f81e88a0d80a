"""Which lane is in which slot, and where it stands in its epochs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch

from fal_bench.arrays import IntArray, RealArray
from fal_bench.learning.chance import Dropout
from fal_bench.learning.kernels.batch import PADDING, Batch, Samples
from fal_bench.learning.model import Weights
from fal_bench.learning.request import (
    Lane,
    augmentation_of,
    batch_edges,
    class_counts_by_lane,
    epoch_orders,
    padded_rows,
    trainer_of,
)
from fal_bench.learning.stacked.chances import MixedSlots, SlotChances
from fal_bench.learning.stopping import Stopping
from fal_bench.plugins.needs import LocalTraining

STRETCH = 64
"""Steps of a lane that are drawn at once, in whole epochs, where nothing happens between epochs."""


@lru_cache(maxsize=4096)
def _plan(count: int, batch_size: int, rows: int, epochs: int) -> tuple[IntArray, IntArray]:
    """Return the sizes of the batches, and where their samples lie in their padded rows.

    Args:
        count: samples of an epoch.
        batch_size: most samples of a batch.
        rows: to which each batch is padded.
        epochs: how many epochs follow each other.
    """
    counts = np.tile(np.diff(batch_edges(count, batch_size)), epochs)
    places = np.flatnonzero(np.arange(rows) < counts[:, np.newaxis])
    return counts, places


@dataclass
class Occupant:
    """The lane in a slot.

    Attributes:
        number: the lane's number among all lanes.
        lane: the lane.
        count: its labelled samples.
        stopping: counts its epochs and says when it is done.
        drawn: epochs that were drawn last, at once.
        done: whether it is.
        epochs: weights after each epoch, if they are kept.
    """

    number: int
    lane: Lane
    count: int
    stopping: Stopping
    drawn: int = 0
    done: bool = False
    epochs: list[Weights] = field(default_factory=list)


class Slots:
    """The slots of one block and the queue of lanes that wait for one.

    Args:
        lanes: lanes with at least one sample each, with equal ``padded_rows``.
        training: their recipe.
        width: number of slots, at most that of the lanes.
        n_classes: number of classes.
        device: where the batches are.
        dropout: the network's dropout, if it has one.
        watched: whether somebody looks at the weights after every epoch.

    Attributes:
        occupants: the lane in each slot; one that is done stays until ``refill`` or ``keep``.
        updates: updates of each slot's lane so far, those that its momenta know of included, shape
            (width,).
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        training: LocalTraining,
        width: int,
        n_classes: int,
        device: torch.device,
        dropout: Dropout | None = None,
        watched: bool = False,
    ) -> None:
        self._training = training
        self._samples = Samples(lanes, device)
        sizes = [lane.count for lane in lanes]
        longest_first = sorted(range(len(lanes)), key=lambda number: -sizes[number])
        self._queue = deque(
            Occupant(number, lanes[number], sizes[number], Stopping(training, sizes[number]))
            for number in longest_first
        )
        self._calm = not (watched or _happens_between_epochs(training, dropout))
        steps = max(
            -(-size // training.batch_size) * self._at_once(size, training.epochs)
            for size in set(sizes)
        )
        rows = padded_rows(max(sizes), training.batch_size)
        self.updates: IntArray = np.zeros(width, dtype=np.int64)
        self._rows: IntArray = np.zeros((width, steps, rows), dtype=np.int64)
        self._columns: IntArray = np.arange(rows)
        self._counts: IntArray = np.zeros((width, steps), dtype=np.int64)
        self._step: IntArray = np.zeros(width, dtype=np.int64)
        self._steps: IntArray = np.zeros(width, dtype=np.int64)
        self._lane_classes = class_counts_by_lane(lanes, n_classes)
        self._class_counts: IntArray = np.ones((width, n_classes), dtype=np.int64)
        self._round: IntArray = np.zeros(width, dtype=np.int64)
        height, width_of_image = lanes[0].features.shape[2:]
        self._chances = SlotChances(
            training, dropout, (width, steps, rows), (height, width_of_image)
        )
        self._mixed: MixedSlots | None = None
        concentration = trainer_of(training).mixes_unlabelled
        if concentration is not None:
            shape = (width, steps, rows)
            self._mixed = MixedSlots(self._samples, training, concentration, shape)
        self.occupants = [self._next(slot) for slot in range(width)]

    @property
    def live(self) -> list[int]:
        """The slots whose lanes are not done."""
        return [slot for slot, occupant in enumerate(self.occupants) if not occupant.done]

    def refill(self) -> Iterator[tuple[int, Occupant]]:
        """Put waiting lanes where others are done; yield each slot and its new lane."""
        for slot, occupant in enumerate(self.occupants):
            if occupant.done and self._queue:
                self.occupants[slot] = self._next(slot)
                yield slot, self.occupants[slot]

    def batch(self) -> Batch:
        """Return the next batch of every slot; all of them are live."""
        slots = np.arange(len(self.occupants))
        counts = self._counts[slots, self._step]
        lanes = [occupant.lane for occupant in self.occupants]
        return Batch(
            self._samples,
            self._rows[slots, self._step],
            counts,
            self._class_counts,
            self._round,
            None if self._mixed is None else self._mixed.at(self._step),
            distortion=self._chances.distortion(self._step),
            mask=self._chances.mask(lanes, counts),
        )

    def advance(self, losses: RealArray | None) -> list[int]:
        """Count one step; return the slots whose epoch has ended.

        Args:
            losses: sum of the losses of each slot's batch, if the recipe stops by the loss.
        """
        self._step += 1
        self.updates += 1
        if losses is not None:
            for occupant, loss in zip(self.occupants, losses, strict=True):
                occupant.stopping.count(float(loss))
        ended: list[int] = (self._step >= self._steps).nonzero()[0].tolist()
        return ended

    def epoch(self, slots: list[int]) -> Iterator[Batch]:
        """Yield the batches of the epoch of some slots, as they are without any chance."""
        for step in range(self._steps[slots].max()):
            counts = np.where(step < self._steps[slots], self._counts[slots, step], 0)
            inside = self._columns < counts[:, np.newaxis]
            rows = np.where(inside, self._rows[slots, step], PADDING)
            yield Batch(self._samples, rows, counts, self._class_counts[slots], self._round[slots])

    def end_epoch(self, slots: list[int], correct: IntArray) -> Iterator[tuple[int, Occupant]]:
        """Count what was drawn for some slots, and draw what is next unless it was the last.

        Args:
            slots: whose epoch, or stretch of epochs, has ended.
            correct: what their networks classify correctly now, of all their samples.

        Yields:
            Each slot and its lane.
        """
        for slot, hits in zip(slots, correct.tolist(), strict=True):
            occupant = self.occupants[slot]
            occupant.done = occupant.stopping.end_epochs(occupant.drawn, hits)
            if not occupant.done:
                self._draw(slot, occupant)
            yield slot, occupant

    def keep(self, slots: list[int]) -> None:
        """Make the block narrower: only ``slots`` stay, in this order."""
        self.occupants = [self.occupants[slot] for slot in slots]
        self.updates, self._step, self._steps = (
            array[slots] for array in (self.updates, self._step, self._steps)
        )
        self._rows, self._counts = self._rows[slots], self._counts[slots]
        self._class_counts, self._round = self._class_counts[slots], self._round[slots]
        self._chances.keep(slots)
        if self._mixed is not None:
            self._mixed.keep(slots)

    def _next(self, slot: int) -> Occupant:
        """Return the lane that is next in the queue, ready in its slot."""
        occupant = self._queue.popleft()
        momenta = occupant.lane.momenta
        self.updates[slot] = 0 if momenta is None else momenta.steps
        self._round[slot] = occupant.lane.round
        self._class_counts[slot] = self._lane_classes[occupant.number]
        self._draw(slot, occupant)
        return occupant

    def _draw(self, slot: int, occupant: Occupant) -> None:
        """Draw the next epoch of a slot's lane; several ones where nothing happens between them."""
        lane, count = occupant.lane, occupant.count
        occupant.drawn = self._at_once(count, occupant.stopping.left)
        orders = epoch_orders(count, occupant.drawn, lane.rng)
        batch_size = self._training.batch_size
        counts, places = _plan(count, batch_size, len(self._columns), occupant.drawn)
        steps = len(counts)
        rows = self._rows[slot, :steps]
        rows[:] = PADDING
        rows.reshape(-1)[places] = orders.reshape(-1) + self._samples.offsets[occupant.number]
        self._counts[slot, :steps] = counts
        self._step[slot] = 0
        self._steps[slot] = steps
        if self._mixed is not None:
            self._mixed.draw_epoch(slot, occupant.number, lane, steps)
        self._chances.draw_epoch(slot, lane, steps)

    def _at_once(self, count: int, epochs: int) -> int:
        """Return how many of the epochs of a lane of ``count`` samples are drawn at once."""
        steps = -(-count // self._training.batch_size)
        return min(epochs, max(1, STRETCH // steps)) if self._calm else 1


def _happens_between_epochs(training: LocalTraining, dropout: Dropout | None) -> bool:
    """Whether something is measured, or something else drawn, between two orders of a lane."""
    stops = training.stop_at_accuracy is not None or training.patience is not None
    mixes = trainer_of(training).mixes_unlabelled is not None
    return stops or mixes or dropout is not None or augmentation_of(training) != "none"
