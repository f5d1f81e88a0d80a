"""Which runs run together in one worker.

Runs that train the same architecture by the same recipe share engine calls, and runs of one
(task, seed) share their first cycle. A group is small enough that every worker gets its fair part
of the work, and that the death of a worker costs few runs a cycle. Runs of a plugin that is not
falbench's own share a group with no others.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

from fal_bench.sweep.spec import RunSpec
from fal_bench.task import Task

LANES = 60
"""Local trainings that a group runs at once; beyond that merging gains next to nothing."""

Group = tuple[RunSpec, ...]


def plan_groups(specs: Sequence[RunSpec], jobs: int) -> list[Group]:
    """Return all runs in groups, the most costly group first.

    Args:
        specs: the runs.
        jobs: number of workers.
    """
    groups = [
        group
        for alike in _by(specs, _merge_key).values()
        for group in _split(_families(alike, jobs), jobs)
    ]
    return sorted(groups, key=lambda group: -_cost(group))


def _merge_key(spec: RunSpec) -> Hashable:
    """What two runs must share for their trainings to be merged."""
    task = spec.task
    model, steps = task.model, (task.optimiser, task.aggregation)
    recipe = (task.local_epochs, task.batch_size, steps, str(spec.trainer))
    return (task.dataset, model, recipe, spec.device, spec.company)


def _families(specs: Sequence[RunSpec], jobs: int) -> list[Group]:
    """Return the runs of each (task, seed), or single runs where that would idle workers."""
    families = _by(specs, lambda spec: (spec.task.hash, spec.seed))
    if len(families) >= jobs:
        return [tuple(family) for family in families.values()]
    return [(spec,) for spec in specs]


def _split(families: list[Group], jobs: int) -> list[Group]:
    """Distribute families over groups of about equal cost: the costliest to the cheapest."""
    lanes = sum(spec.task.participants for family in families for spec in family)
    count = jobs * math.ceil(lanes / (jobs * LANES))
    groups: list[list[RunSpec]] = [[] for _ in range(min(count, len(families)))]
    # Of equally cheap groups, the one that got the last family is next: tasks alternate among the
    # families, and each group gets some of each.
    cheapest = [(0, 0, number) for number in range(len(groups))]
    for turn, family in enumerate(sorted(families, key=lambda family: -_cost(family))):
        cost, _, number = cheapest[0]
        groups[number].extend(family)
        heapq.heapreplace(cheapest, (cost + _cost(family), -turn, number))
    return [tuple(group) for group in groups]


def _by(
    specs: Sequence[RunSpec], key: Callable[[RunSpec], Hashable]
) -> dict[Hashable, list[RunSpec]]:
    groups: dict[Hashable, list[RunSpec]] = {}
    for spec in specs:
        groups.setdefault(key(spec), []).append(spec)
    return groups


def _cost(specs: Sequence[RunSpec]) -> int:
    return sum(updates(spec.task) for spec in specs)


@lru_cache(maxsize=1024)
def updates(task: Task) -> int:
    """Return the training updates of a run that spends its budget evenly."""
    epochs = task.rounds * task.local_epochs * task.participants
    return sum(
        epochs * math.ceil((task.initial_labels + cycle * task.query_size) / task.batch_size)
        for cycle in range(task.fixed_cycles)
    )
