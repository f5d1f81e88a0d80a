"""The small federations that strategies are checked on, and ones that differ in one thing.

Their data are registered nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from fal_bench.arrays import IntArray
from fal_bench.data.base import Dataset
from fal_bench.data.clients import GivenClients
from fal_bench.federation.setting import Setting
from fal_bench.task import Given, Task

CLASSES: Final = 5
TRAIN: Final = 300
TEST: Final = 60
NOISE: Final = 0.8
"""Spread within a class, where class centres have a spread of 1."""


@dataclass(frozen=True)
class World:
    """A task on made-up images.

    Every client holds labels of every class from the start: what is unusual is left to the checks
    that are about it.

    Attributes:
        name: how the report calls it.
        task: the task.
        side: height and width of an image.
    """

    name: str
    task: Task
    side: int

    def setting(self, seed: int = 0) -> Setting:
        """Draw the setting of a seed, with data of its own."""
        data = blobs((1, self.side, self.side))
        if isinstance(self.task.partition, Given):
            owners = [np.arange(count) % (self.task.clients + 1) for count in (TRAIN, TEST)]
            data = replace(data, clients=GivenClients.named(*owners))
        return Setting.draw(self.task, seed, data)


def blobs(shape: tuple[int, int, int]) -> Dataset:
    """Return noisy copies of one random image a class, in random order."""
    rng = np.random.default_rng(20)
    centres = rng.normal(size=(CLASSES, *shape))

    def part(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = rng.permutation(np.arange(count) % CLASSES)
        images = centres[labels] + NOISE * rng.normal(size=(count, *shape))
        return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)

    return Dataset("check", *part(TRAIN), *part(TEST), n_classes=CLASSES)


def _task(name: str, **more: Any) -> Task:
    fields: dict[str, Any] = {
        "name": name,
        "dataset": "check",
        "clients": 3,
        "model": {"kind": "mlp", "hidden": [16]},
        "rounds": 2,
        "local_epochs": 2,
        "batch_size": 8,
        "initial_labels": 20,
        "query_size": 4,
        "budget_cap": 84,
    }
    return Task.model_validate(fields | more)


# Two clients, because strategies that read these shares simulate a lot at each.
_SHARES: Final[dict[str, Any]] = {
    "clients": 2,
    "budget_cap": 56,
    "shares": {"state": 0.1, "warm_start": 0.2, "agent": 0.4, "pool": 0.3},
}

WORLDS: Final = (
    World("plain", _task("plain"), side=8),
    World("shares", _task("shares", **_SHARES), side=8),
    World("images", _task("images", **_SHARES, model={"kind": "cnn4", "width": 4}), side=16),
    World("allotment", _task("allotment", allotment={"kind": "server"}), side=8),
    World("target", _task("target", partition={"kind": "given", "target": "3"}), side=8),
    World("rounds", _task("rounds", rounds=4), side=8),
)
"""A strategy is checked on the first one that its ``check_task`` and ``check_shares`` accept."""


def uneven(world: World, *, tiny: bool) -> Setting:
    """Draw a federation whose clients come with the data and are as unequal as real ones.

    One client has pool samples of one class, and uses them up; one has two classes; one has the
    rest. They hold two or three labels at the start.

    Args:
        world: a world, whose model, shares and allotment stay.
        tiny: whether a further client has one sample only.
    """
    data = blobs((1, world.side, world.side))
    labels = data.train_labels.numpy()
    left = {label: np.flatnonzero(labels == label).tolist() for label in range(CLASSES)}
    pool = world.task.shares.pool
    owners = np.full(TRAIN, 2)
    for client, classes, count in ((0, (1,), 6), (1, (0, 2), 15)):
        for number in range(round(count / pool)):
            owners[left[classes[number % len(classes)]].pop()] = client
    if tiny:
        owners[left[3].pop()] = 3
    clients = GivenClients.named(owners)
    fields = {"initial_labels": 2, "query_size": 3, "budget_cap": 12 * len(clients.names)}
    task = _changed(world.task, partition={"kind": "given"}, clients=len(clients.names), **fields)
    return Setting.draw(task, 0, replace(data, clients=clients))


def with_allotment(setting: Setting, at_most: int | None) -> Setting:
    """Let the server allot labels, with a limit a client."""
    allotment = {"kind": "server", "at_most": at_most}
    return replace(setting, task=_changed(setting.task, allotment=allotment))


def with_other_labels(setting: Setting, kept: set[int], seed: int) -> Setting:
    """Change the label of every training sample that is not in ``kept``, and the test set.

    Args:
        setting: the federation.
        kept: ids of the samples whose labels stay.
        seed: decides the new labels.
    """
    rng = np.random.default_rng(seed)
    data = setting.dataset
    labels = data.train_labels.clone()
    hidden = np.setdiff1d(np.arange(len(labels)), np.fromiter(kept, dtype=np.int64))
    shift = torch.from_numpy(rng.integers(1, data.n_classes, len(hidden)))
    labels[hidden] = (labels[hidden] + shift) % data.n_classes
    test_labels = torch.from_numpy(rng.integers(0, data.n_classes, data.n_test))
    test_features = data.test_features.flip(0) * 0.5
    other = replace(data, train_labels=labels, test_labels=test_labels, test_features=test_features)
    return replace(setting, dataset=other)


def with_labels(setting: Setting, ids: IntArray, label: int) -> Setting:
    """Give one label to some training samples."""
    labels = setting.dataset.train_labels.clone()
    labels[ids] = label
    return replace(setting, dataset=replace(setting.dataset, train_labels=labels))


def with_images(setting: Setting, ids: IntArray, images: torch.Tensor) -> Setting:
    """Replace the images of some training samples; ``images`` broadcasts over them."""
    features = setting.dataset.train_features.clone()
    features[ids] = images
    return replace(setting, dataset=replace(setting.dataset, train_features=features))


def with_left(setting: Setting, left: dict[int, int]) -> Setting:
    """Label so much of some clients' pools at the start that ``left`` samples are left."""
    initial = list(setting.initial)
    for client, count in left.items():
        pool = setting.shares[client].pool
        rest = np.setdiff1d(pool, initial[client])
        more = rest[: len(rest) - count]
        initial[client] = np.sort(np.concatenate([initial[client], more]))
    task = setting.task
    cap = task.label_grid_start + setting.pool * task.query_labels  # so that a query follows
    return replace(setting, initial=tuple(initial), task=_changed(task, budget_cap=cap))


def with_budget_above_pool(setting: Setting) -> Setting:
    """Let clients buy more labels a cycle than any pool holds."""
    task = setting.task
    query_size = max(len(own.pool) for own in setting.shares) + 7
    cap = task.clients * (task.initial_labels + query_size)
    return replace(setting, task=_changed(task, query_size=query_size, budget_cap=cap))


def with_pool_reordered(setting: Setting, seed: int) -> tuple[Setting, dict[int, int]]:
    """Shuffle the ids of each client's unlabelled samples among themselves.

    What is labelled keeps its ids, so every model is trained on the same samples in the same
    order, and only the pool is presented in another one.

    Returns:
        The federation, and what each id was called before.
    """
    rng = np.random.default_rng(seed)
    source = np.arange(setting.dataset.n_train)
    for client in range(len(setting.shares)):
        ids = unlabelled(setting, client)
        source[ids] = rng.permutation(ids)
    data = setting.dataset
    other = replace(
        data, train_features=data.train_features[source], train_labels=data.train_labels[source]
    )
    return replace(setting, dataset=other), dict(enumerate(source.tolist()))


def unlabelled(setting: Setting, client: int) -> IntArray:
    """Return the ids of a client's pool that are not labelled at the start."""
    return np.setdiff1d(setting.shares[client].pool, setting.initial[client])


def labelled(setting: Setting) -> IntArray:
    """Return the ids of all samples that are labelled at the start."""
    return np.concatenate(setting.initial)


def own_hidden(setting: Setting, client: int) -> IntArray:
    """Return the ids of all samples of a client that are not labelled at the start."""
    own = setting.shares[client]
    return np.concatenate([own.state, own.warm_start, own.agent, unlabelled(setting, client)])


def _changed(task: Task, **fields: Any) -> Task:
    return Task.model_validate({**task.model_dump(), **fields})
