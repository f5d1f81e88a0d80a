"""Which lane is in which slot, and where it stands in its epochs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fal_bench.learning.request import Lane, epoch_order
from fal_bench.learning.stacked.batch import PADDING, Batch, Samples
from fal_bench.needs import LocalTraining

IntArray = NDArray[np.int64]

ROWS_MULTIPLE = 8
"""Batches of a lane with less than one full batch of samples are padded to a multiple of this."""


def padded_rows(count: int, batch_size: int) -> int:
    """Return the rows to which the batches of a lane of ``count`` samples are padded.

    It is even, because odd sizes change bits with the number of lanes on some processors, and it
    follows from the lane and its recipe alone, never from the company.
    """
    full = batch_size + batch_size % 2
    return min(full, -(-count // ROWS_MULTIPLE) * ROWS_MULTIPLE)


@dataclass
class Occupant:
    """The lane in a slot.

    Attributes:
        number: the lane's number among all lanes.
        lane: the lane.
        epoch: epochs finished.
        correct: correct predictions of this epoch, before each update.
    """

    number: int
    lane: Lane
    epoch: int = 0
    correct: int = 0


class Slots:
    """The slots of one block and the queue of lanes that wait for one.

    Args:
        lanes: lanes with at least one sample each, with equal ``padded_rows``.
        training: their recipe.
        width: number of slots.

    Attributes:
        occupants: the lane in each slot, or None.
        updates: updates of each slot's lane so far, shape (width,).
    """

    def __init__(self, lanes: Sequence[Lane], training: LocalTraining, width: int) -> None:
        self._training = training
        self._samples = Samples(lanes)
        sizes = [len(lane.labels) for lane in lanes]
        longest_first = sorted(range(len(lanes)), key=lambda number: -sizes[number])
        self._queue = deque(Occupant(number, lanes[number]) for number in longest_first)
        steps = -(-max(sizes) // training.batch_size)
        rows = padded_rows(max(sizes), training.batch_size)
        self.occupants: list[Occupant | None] = [None] * width
        self.updates: IntArray = np.zeros(width, dtype=np.int64)
        self._rows: IntArray = np.zeros((width, steps, rows), dtype=np.int64)
        self._counts: IntArray = np.zeros((width, steps), dtype=np.int64)
        self._step: IntArray = np.zeros(width, dtype=np.int64)
        self._steps: IntArray = np.zeros(width, dtype=np.int64)

    @property
    def live(self) -> list[int]:
        """The occupied slots."""
        return [slot for slot, occupant in enumerate(self.occupants) if occupant is not None]

    @property
    def busy(self) -> bool:
        """Whether any slot is occupied."""
        return any(self.occupants)

    def fill(self) -> Iterator[tuple[int, Occupant]]:
        """Put waiting lanes into empty slots; yield each slot and its new lane."""
        for slot, occupant in enumerate(self.occupants):
            if occupant is None and self._queue:
                newcomer = self._queue.popleft()
                self.occupants[slot] = newcomer
                self.updates[slot] = 0
                self._draw_epoch(slot, newcomer)
                yield slot, newcomer

    def batch(self) -> Batch:
        """Return the next batch of every slot."""
        slots = np.arange(len(self.occupants))
        return Batch(self._samples, self._rows[slots, self._step], self._counts[slots, self._step])

    def advance(self, correct: IntArray | None) -> list[tuple[int, Occupant]]:
        """Count one step; return the slots whose lane is done, which are empty now.

        Args:
            correct: correct predictions in each slot's batch, if the recipe stops by accuracy.
        """
        self._step += 1
        self.updates += 1
        done = []
        if correct is not None:
            for slot in self.live:
                self._occupant(slot).correct += int(correct[slot])
        for slot in (self._step >= self._steps).nonzero()[0].tolist():
            occupant = self.occupants[slot]
            if occupant is None:
                self._step[slot] = 0
            elif self._ends(occupant):
                done.append((slot, occupant))
                self._clear(slot)
            else:
                self._draw_epoch(slot, occupant)
        return done

    def keep(self, slots: list[int]) -> None:
        """Make the block narrower: only ``slots`` stay, in this order."""
        self.occupants = [self.occupants[slot] for slot in slots]
        self.updates, self._step, self._steps = (
            array[slots] for array in (self.updates, self._step, self._steps)
        )
        self._rows, self._counts = self._rows[slots], self._counts[slots]

    def _occupant(self, slot: int) -> Occupant:
        occupant = self.occupants[slot]
        assert occupant is not None
        return occupant

    def _ends(self, occupant: Occupant) -> bool:
        """Count an epoch; return whether it was the lane's last."""
        occupant.epoch += 1
        accuracy = occupant.correct / len(occupant.lane.labels)
        occupant.correct = 0
        stop = self._training.stop_at_accuracy
        return occupant.epoch >= self._training.epochs or (stop is not None and accuracy >= stop)

    def _draw_epoch(self, slot: int, occupant: Occupant) -> None:
        size = self._training.batch_size
        drawn = epoch_order(len(occupant.lane.labels), occupant.lane.rng)
        steps = -(-len(drawn) // size)
        order = np.full(steps * size, PADDING)
        order[: len(drawn)] = drawn + self._samples.offsets[occupant.number]
        fitting = min(size, self._rows.shape[2])
        self._rows[slot, :steps, :fitting] = order.reshape(steps, size)[:, :fitting]
        self._counts[slot, :steps] = size
        self._counts[slot, steps - 1] = len(drawn) - (steps - 1) * size
        self._step[slot] = 0
        self._steps[slot] = steps

    def _clear(self, slot: int) -> None:
        self.occupants[slot] = None
        self._rows[slot] = PADDING
        self._counts[slot] = 0
        self._step[slot] = self._steps[slot] = 0
