"""F-AL with least-confidence sampling: the federation's model chooses."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.acquisition.scores import confidence, smallest
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Strategy


class FalLeastConfidence(Strategy):
    """Smallest top probability under the global model, client by client.

    F-AL (Ahn et al., IEEE Access 12, 2024) with the least-confidence score (Lewis & Gale, "A
    Sequential Algorithm for Training Text Classifiers", SIGIR 1994) in place of the margin.

    Needs: the global model. Cost: one pass of it over the pool. Fails as ``fal-margin`` does, and
    looks at one probability only: it cannot tell a choice between two classes from a guess among
    many.
    """

    name: ClassVar[str] = "fal-least-confidence"
    version: ClassVar[int | None] = 1
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "F-AL, Ahn et al., IEEE Access 2024"

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` least confident predictions."""
        return smallest(confidence(client.probs(client.global_model)), budget)
