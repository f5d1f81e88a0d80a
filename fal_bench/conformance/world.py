"""The small federations that strategies are checked on; their data are registered nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from fal_bench.data.base import Dataset
from fal_bench.federation.setting import Setting
from fal_bench.task import Task

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
        """Draw the setting of a seed, with data that nobody shares."""
        return Setting.draw(self.task, seed, _blobs(self.side))


def _blobs(side: int) -> Dataset:
    """Return noisy copies of one random image a class, in random order."""
    rng = np.random.default_rng(20)
    centres = rng.normal(size=(CLASSES, 1, side, side))

    def part(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = rng.permutation(np.arange(count) % CLASSES)
        images = centres[labels] + NOISE * rng.normal(size=(count, 1, side, side))
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
)
"""A strategy is checked on the first one that its ``check_task`` and ``check_shares`` accept."""
