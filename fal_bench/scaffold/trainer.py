"""A new trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fal_bench.plugins.registry import Registry
from fal_bench.scaffold.plugin import NewPlugin


@dataclass(frozen=True)
class NewTrainer(NewPlugin):
    """A trainer that does not exist yet."""

    what: ClassVar[str] = "trainer"

    @property
    def templates(self) -> tuple[str, str]:
        """Names of the templates of its file and of its test."""
        return "trainer", "test_trainer"

    @staticmethod
    def taken(registry: Registry) -> Mapping[str, str]:
        """Return the sources of all trainers, by name."""
        return registry.trainers.sources
