"""A new strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from fal_bench.plugins.registry import Registry
from fal_bench.scaffold.plugin import NewPlugin

Kind = Literal["plain", "adaptive", "coordinated"]


@dataclass(frozen=True)
class NewStrategy(NewPlugin):
    """A strategy that does not exist yet.

    Args:
        kind: which template it starts from.
    """

    kind: Kind = "plain"

    what: ClassVar[str] = "strategy"

    @property
    def templates(self) -> tuple[str, str]:
        """Names of the templates of its file and of its test."""
        return self.kind, "test_strategy"

    @staticmethod
    def taken(registry: Registry) -> Mapping[str, str]:
        """Return the sources of all strategies, by name."""
        return registry.strategies.sources
