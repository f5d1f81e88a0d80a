"""Federations like a given one, but for one thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from fal_bench.arrays import IntArray
from fal_bench.federation.setting import Setting
from fal_bench.task import Task


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


def with_purse_above_pool(setting: Setting) -> Setting:
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


def _changed(task: Task, **fields: int) -> Task:
    return Task.model_validate({**task.model_dump(), **fields})
