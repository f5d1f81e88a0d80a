"""The description of a cell, and the key that follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fal_bench.learning.numerics import NUMERICS_VERSION
from fal_bench.registry import Registry
from fal_bench.selector import Selector
from fal_bench.task import Task


@dataclass(frozen=True)
class CellSpec:
    """One (task, strategy with parameters, seed): all that decides a learning curve.

    Attributes:
        task: the task.
        strategy: the strategy with the parameters that differ from their defaults.
        fingerprint: what identifies the strategy's behaviour (``Registry.fingerprint``).
        seed: the seed.
        device: class of the device; bits differ between classes.
    """

    task: Task
    strategy: Selector
    fingerprint: str
    seed: int
    device: str = "cpu"

    @cached_property
    def description(self) -> dict[str, Any]:
        """The canonical description, as JSON values."""
        return {
            "task": self.task.canonical,
            "strategy": {
                "name": self.strategy.name,
                "params": self.strategy.params,
                "fingerprint": self.fingerprint,
            },
            "seed": self.seed,
            "device": self.device,
            "numerics": NUMERICS_VERSION,
        }

    @cached_property
    def key(self) -> str:
        """SHA-256 of the canonical description, in hexadecimal."""
        return description_key(self.description)

    @property
    def label(self) -> str:
        """The strategy as it is shown: its name and the parameters that were set."""
        return str(self.strategy)

    def __str__(self) -> str:
        return f"{self.task.name}, {self.label}, seed {self.seed}"


def description_key(description: dict[str, Any]) -> str:
    """Return the key of a canonical description."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def plan_cells(
    tasks: Sequence[Task], strategies: Sequence[Selector], seeds: Sequence[int], registry: Registry
) -> list[CellSpec]:
    """Return the cells of a comparison, seed by seed, so that early results show everyone.

    Raises:
        FalbenchError: a strategy is unknown, cannot be loaded, or gets a parameter it cannot take.
    """
    resolved: dict[str, tuple[Selector, str]] = {}
    for selector in strategies:
        strategy = registry.make(selector)
        for task in tasks:
            strategy.check_task(task)
        params = strategy.params.model_dump(mode="json", exclude_defaults=True)
        parts = [registry.fingerprint(selector.name)]
        parts += [f"{name} {value}" for name, value in sorted(strategy.identity.items())]
        canonical = Selector(selector.name, params)
        resolved[str(canonical)] = (canonical, ", ".join(parts))
    return [
        CellSpec(task, selector, fingerprint, seed)
        for seed in seeds
        for task in tasks
        for selector, fingerprint in resolved.values()
    ]
