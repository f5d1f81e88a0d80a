"""The setting: what all strategies of one (task, seed) share before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from fal_bench.arrays import DoubleArray, IntArray
from fal_bench.data.annotators import Votes, votes_of
from fal_bench.data.base import Dataset, on_device
from fal_bench.data.partition import given_parts, partition, with_known_clients, with_target
from fal_bench.data.shares import ClientShares, split_shares
from fal_bench.data.subset import long_tail
from fal_bench.errors import InvalidSpecError
from fal_bench.federation.grants import Grants, initial_labels, weights_of
from fal_bench.federation.ledger import Ledger
from fal_bench.learning.device import CPU
from fal_bench.learning.model import Architecture
from fal_bench.streams import Streams
from fal_bench.task import Given, Raters, Task

_NAMES_SHOWN: Final = 10


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
            InvalidSpecError: the query pools are too small for the task's labels, the clients are
                to be given and are not, or images are to be augmented that are none.
        """
        _check_augmentation(task, dataset)
        task = with_known_clients(task, dataset)
        if isinstance(task.partition, Given) and task.partition.target:
            dataset = with_target(dataset, task.partition.target)
        streams = Streams(seed, task.problem)
        labels = dataset.train_labels.numpy()
        kept = long_tail(labels, task.long_tail, streams.numpy("long-tail"))
        if isinstance(task.partition, Given):
            parts = _given(task, dataset, kept)
        else:
            rng = streams.numpy("partition")
            parts = partition(labels[kept], task.partition, task.clients, rng)
        shares = tuple(
            split_shares(kept[part], task.shares, streams.numpy("shares", client))
            for client, part in enumerate(parts)
        )
        _check_pools(task, shares)
        _check_annotators(task, dataset)
        _check_prices(task, dataset)
        weights = weights_of(task, _samples(shares), _prices(task, dataset))
        counts = initial_labels(task, weights, _pools(shares))
        initial = tuple(
            np.sort(streams.numpy("initial", client).choice(own.pool, count, replace=False))
            for client, (own, count) in enumerate(zip(shares, counts, strict=True))
        )
        return cls(task, streams, on_device(dataset, device), shares, initial, device)

    @property
    def architecture(self) -> Architecture:
        """The classifier on this data set."""
        dataset = self.dataset
        return Architecture(self.task.model, dataset.input_shape, dataset.n_classes, self.device)

    @cached_property
    def votes(self) -> Votes:
        """What annotators say of each training sample."""
        return votes_of(self.task.annotators, self.dataset, self.streams)

    @cached_property
    def prices(self) -> DoubleArray:
        """What a label costs at each client; shape (clients,)."""
        return _prices(self.task, self.dataset)

    @property
    def smallest_shares(self) -> dict[str, int]:
        """Samples in each share of the client that has fewest of them."""
        names = ("state", "warm_start", "agent", "pool")
        return {name: min(len(getattr(own, name)) for own in self.shares) for name in names}

    @property
    def sizes(self) -> dict[str, int]:
        """What a strategy checks before anything runs; see ``Strategy.check_shares``."""
        embedding = self.architecture.network.head.in_features
        return {**self.smallest_shares, "classes": self.dataset.n_classes, "embedding": embedding}

    @property
    def pool(self) -> int:
        """Samples in the query pool over all clients, initial labels included."""
        return sum(len(own.pool) for own in self.shares)

    @cached_property
    def grants(self) -> Grants:
        """How many labels each client may buy by when."""
        weights = weights_of(self.task, _samples(self.shares), self.prices)
        initial = np.array([len(own) for own in self.initial])
        return Grants(self.task, weights, _pools(self.shares), initial)

    def open_ledger(self) -> Ledger:
        """Return a ledger in which the initial labels are bought."""
        ledger = Ledger(self.votes, self.shares)
        for client, ids in enumerate(self.initial):
            ledger.buy(client, ids, "initial", 0)
        return ledger


def _check_augmentation(task: Task, dataset: Dataset) -> None:
    if task.augmentation != "none" and dataset.kind != "image":
        raise InvalidSpecError(
            f"Task {task.name!r}: augmentation {task.augmentation!r} is for images, and data set "
            f"{task.dataset!r} is of kind {dataset.kind}; leave augmentation out."
        )


def _given(task: Task, dataset: Dataset, kept: IntArray) -> list[IntArray]:
    """Return the clients that the data come with, as positions in ``kept``."""
    assert dataset.clients is not None
    names = dataset.clients.names
    parts = given_parts(dataset.clients.train[kept], len(names))
    for name, part in zip(names, parts, strict=True):
        if not len(part):
            raise InvalidSpecError(
                f"Task {task.name!r}: long_tail {task.long_tail:g} leaves client {name!r} without "
                "a sample; lower it, or remove the client."
            )
    return parts


def _pools(shares: tuple[ClientShares, ...]) -> IntArray:
    return np.array([len(own.pool) for own in shares])


def _samples(shares: tuple[ClientShares, ...]) -> IntArray:
    return np.array([own.samples for own in shares])


def _prices(task: Task, dataset: Dataset) -> DoubleArray:
    known = dict(task.label_cost)
    return np.array([known.get(name, 1.0) for name in _names(task, dataset)])


def _check_annotators(task: Task, dataset: Dataset) -> None:
    """Check that a table of confusions is one of the data's classes, and that raters are there."""
    if isinstance(task.annotators, Raters) and dataset.train_votes is None:
        raise InvalidSpecError(
            f"Task {task.name!r}: annotators are raters, and data set {task.dataset!r} brings no "
            "single votes; add train_votes to the data, or use annotators of kind noisy or "
            "confused."
        )
    confusion = getattr(task.annotators, "confusion", None)
    if confusion is not None and len(confusion) != dataset.n_classes:
        raise InvalidSpecError(
            f"Task {task.name!r}: annotators.confusion has {len(confusion)} classes, and data set "
            f"{task.dataset!r} has {dataset.n_classes}; give one row and one column a class."
        )


def _names(task: Task, dataset: Dataset) -> tuple[str, ...]:
    """Return what the clients are called: by the data, or by their numbers."""
    if isinstance(task.partition, Given):
        assert dataset.clients is not None
        return dataset.clients.names
    return tuple(map(str, range(task.clients)))


def _check_prices(task: Task, dataset: Dataset) -> None:
    """Check that prices are those of clients that are there."""
    names = _names(task, dataset)
    if unknown := sorted({name for name, _ in task.label_cost} - set(names)):
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        raise InvalidSpecError(
            f"Task {task.name!r}: label_cost names {unknown[0]!r}, which is no client; choose "
            f"from: {shown}."
        )


def _check_pools(task: Task, shares: tuple[ClientShares, ...]) -> None:
    """Check that all query pools together hold the labels of the task; each holds one at least."""
    held, needed = int(_pools(shares).sum()), task.looks[-1]
    if needed <= held:
        return
    most = held - task.query_labels
    start = task.label_grid_start
    advice = (
        f"lower budget_cap to {most} or less"
        if most > start
        else f"lower initial_labels {task.initial_labels} or query_size {task.query_size}"
    )
    raise InvalidSpecError(
        f"Task {task.name!r}: budget_cap {task.budget_cap} and one confirming query of "
        f"{task.query_labels} labels need {needed} samples, but the query pools of all clients "
        f"hold {held}; {advice}."
    )
