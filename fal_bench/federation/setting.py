"""The setting: what all strategies of one (task, seed) share before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.data.base import Dataset, on_device
from fal_bench.data.partition import partition
from fal_bench.data.shares import ClientShares, split_shares
from fal_bench.data.subset import long_tail
from fal_bench.errors import InvalidSpecError
from fal_bench.federation.ledger import Ledger
from fal_bench.learning.device import CPU
from fal_bench.learning.model import Architecture
from fal_bench.streams import Streams
from fal_bench.task import Task


@dataclass(frozen=True)
class Setting:
    """Partition, shares and initial labels of one (task, seed): the paired part of a comparison.

    Attributes:
        task: the task.
        streams: the random streams of this (task, seed); other recipes of the task share them.
        dataset: the data.
        shares: the shares of each client.
        initial: ids of each client's initial labels, sorted.
        device: where models are trained and asked.
    """

    task: Task
    streams: Streams
    dataset: Dataset
    shares: tuple[ClientShares, ...]
    initial: tuple[IntArray, ...]
    device: str = CPU

    @classmethod
    def draw(cls, task: Task, seed: int, dataset: Dataset, device: str = CPU) -> Setting:
        """Draw the setting of a seed.

        Args:
            task: the task.
            seed: the seed.
            dataset: the data; its images are brought to the device.
            device: where models are trained and asked; nothing is drawn there.

        Raises:
            InvalidSpecError: a client's query pool is too small for the task's labels, or images
                are to be augmented that are none.
        """
        _check_augmentation(task, dataset)
        streams = Streams(seed, task.problem)
        labels = dataset.train_labels.numpy()
        kept = long_tail(labels, task.long_tail, streams.numpy("long-tail"))
        parts = partition(labels[kept], task.partition, task.clients, streams.numpy("partition"))
        shares = tuple(
            split_shares(kept[part], task.shares, streams.numpy("shares", client))
            for client, part in enumerate(parts)
        )
        _check_pools(task, shares)
        initial = tuple(
            np.sort(
                streams.numpy("initial", client).choice(
                    own.pool, task.initial_labels, replace=False
                )
            )
            for client, own in enumerate(shares)
        )
        return cls(task, streams, on_device(dataset, device), shares, initial, device)

    @property
    def architecture(self) -> Architecture:
        """The classifier on this data set."""
        dataset = self.dataset
        return Architecture(self.task.model, dataset.input_shape, dataset.n_classes, self.device)

    @property
    def smallest_shares(self) -> dict[str, int]:
        """Samples in each share of the client that has fewest of them."""
        names = ("state", "warm_start", "agent", "pool")
        return {name: min(len(getattr(own, name)) for own in self.shares) for name in names}

    @property
    def pool(self) -> int:
        """Samples in the query pool over all clients, initial labels included."""
        return sum(len(own.pool) for own in self.shares)

    def open_ledger(self) -> Ledger:
        """Return a ledger in which the initial labels are bought."""
        ledger = Ledger(self.dataset.train_labels.numpy(), self.shares)
        for client, ids in enumerate(self.initial):
            ledger.buy(client, ids, "initial", 0)
        return ledger


def _check_augmentation(task: Task, dataset: Dataset) -> None:
    if task.augmentation != "none" and dataset.kind != "image":
        raise InvalidSpecError(
            f"Task {task.name!r}: augmentation {task.augmentation!r} is for images, and data set "
            f"{task.dataset!r} is of kind {dataset.kind}; leave augmentation out."
        )


def _check_pools(task: Task, shares: tuple[ClientShares, ...]) -> None:
    smallest = min(len(own.pool) for own in shares)
    if task.initial_labels + task.query_size > smallest:
        raise InvalidSpecError(
            f"Task {task.name!r}: query_size {task.query_size} after {task.initial_labels} initial "
            f"labels is larger than a client's query pool of {smallest} samples; lower them or "
            "use fewer clients."
        )
    needed = task.initial_labels + (task.fixed_cycles - 1) * task.query_size
    if needed > smallest:
        affordable = (smallest - task.initial_labels) // task.query_size - 1
        raise InvalidSpecError(
            f"Task {task.name!r}: budget_cap {task.budget_cap} and one confirming query need "
            f"{needed} samples a client, but a query pool holds {smallest}; lower budget_cap to "
            f"{task.label_grid_start + max(affordable, 0) * task.query_labels} or less."
        )
