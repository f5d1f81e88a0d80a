"""What is compared on: tasks, suites of tasks, and targets."""

from fal_bench.task.annotators import Annotators, ConfusedAnnotators, NoisyAnnotators, Raters
from fal_bench.task.optimisers import Adam, AdamW, Optimiser, Sgd
from fal_bench.task.partitions import (
    Dirichlet,
    Given,
    Iid,
    LogNormalSizes,
    Partition,
    Shards,
    SizeShares,
    Synthetic,
)
from fal_bench.task.spec import AggregationSpec, ModelSpec
from fal_bench.task.task import Augmentation, ServerAllotment, Shares, Task

__all__ = [
    "Adam",
    "AdamW",
    "AggregationSpec",
    "Annotators",
    "Augmentation",
    "ConfusedAnnotators",
    "Dirichlet",
    "Given",
    "Iid",
    "LogNormalSizes",
    "ModelSpec",
    "NoisyAnnotators",
    "Optimiser",
    "Partition",
    "Raters",
    "ServerAllotment",
    "Sgd",
    "Shards",
    "Shares",
    "SizeShares",
    "Synthetic",
    "Task",
]
