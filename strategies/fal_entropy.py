"""F-AL with entropy sampling: the federation's model chooses."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Strategy


class FalEntropy(Strategy):
    """Largest predictive entropy under the global model, client by client.

    F-AL (Ahn et al., IEEE Access 12, 2024) with the entropy score (Shannon, 1948) in place of the
    margin.

    Cost: one pass of the global model over the pool. Fails with many classes, where entropy
    prefers samples that are unclear among unlikely classes too.
    """

    name: ClassVar[str] = "fal-entropy"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "F-AL, Ahn et al., IEEE Access 2024"
    deterministic: ClassVar[bool] = True

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` largest entropies."""
        return largest(entropy(client.probs(client.global_model)), budget)
