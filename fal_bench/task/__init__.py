"""What is compared on: tasks, suites of tasks, and targets."""

from fal_bench.task.spec import (
    Augmentation,
    Dirichlet,
    Given,
    Iid,
    LogNormalSizes,
    ModelSpec,
    Partition,
    ServerAllotment,
    Sgd,
    Shards,
    Shares,
    SizeShares,
    Synthetic,
    Task,
)

__all__ = [
    "Augmentation",
    "Dirichlet",
    "Given",
    "Iid",
    "LogNormalSizes",
    "ModelSpec",
    "Partition",
    "ServerAllotment",
    "Sgd",
    "Shards",
    "Shares",
    "SizeShares",
    "Synthetic",
    "Task",
]
