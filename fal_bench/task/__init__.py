"""What is compared on: tasks, suites of tasks, and targets."""

from fal_bench.task.spec import (
    Adam,
    AdamW,
    AggregationSpec,
    Augmentation,
    Dirichlet,
    Iid,
    ModelSpec,
    Optimiser,
    Partition,
    Sgd,
    Shards,
    Shares,
    Task,
)

__all__ = [
    "Adam",
    "AdamW",
    "AggregationSpec",
    "Augmentation",
    "Dirichlet",
    "Iid",
    "ModelSpec",
    "Optimiser",
    "Partition",
    "Sgd",
    "Shards",
    "Shares",
    "Task",
]
