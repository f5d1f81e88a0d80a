"""What is compared on: tasks, suites of tasks, and targets."""

from fal_bench.task.spec import (
    Augmentation,
    Cnn,
    Cnn4,
    Dirichlet,
    Iid,
    Mlp,
    ModelSpec,
    Partition,
    Resnet18,
    Sgd,
    Shards,
    Shares,
    Task,
)

__all__ = [
    "Augmentation",
    "Cnn",
    "Cnn4",
    "Dirichlet",
    "Iid",
    "Mlp",
    "ModelSpec",
    "Partition",
    "Resnet18",
    "Sgd",
    "Shards",
    "Shares",
    "Task",
]
