"""S-AL with entropy sampling: each client's own model chooses."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView
from fal_bench.strategies._local_only import LocalOnly


class SalEntropy(LocalOnly):
    """Largest predictive entropy under each client's local-only model.

    The separate arm (S-AL) of F-AL (Ahn et al., IEEE Access 12, 2024) with the entropy score in
    place of the margin; LoGo's paper and FairFAL's call it entropy with the local-only model.

    Needs: the local-only model, trained as LoGo's is. Cost: one training per client and cycle, one
    pass over the pool. Fails where a client has few labels or few classes: its model then knows
    nothing of the others, and is not uncertain about them either.
    """

    name: ClassVar[str] = "sal-entropy"
    version: ClassVar[int | None] = 2
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "F-AL (S-AL arm), Ahn et al., IEEE Access 2024"

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` largest entropies."""
        return largest(entropy(client.probs(client.local_model)), budget)
