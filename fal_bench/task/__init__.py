"""What is compared on: tasks, suites of tasks, and targets."""

from fal_bench.task.spec import (
    Augmentation,
    Dirichlet,
    Iid,
    ModelSpec,
    Partition,
    Sgd,
    Shards,
    Shares,
    Task,
)

__all__ = [
    "Augmentation",
    "Dirichlet",
    "Iid",
    "ModelSpec",
    "Partition",
    "Sgd",
    "Shards",
    "Shares",
    "Task",
]
