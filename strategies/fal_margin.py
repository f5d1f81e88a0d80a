"""F-AL with margin sampling: the federation's model chooses."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Strategy


class FalMargin(Strategy):
    """Smallest top-two margin under the global model, client by client.

    The federated arm of F-AL (Ahn et al., "Federated Active Learning (F-AL): an Efficient
    Annotation Strategy for Federated Learning", IEEE Access 12, 2024): the selection model is
    itself obtained by federated learning. Compare with its control ``sal-margin``.

    Cost: one pass of the global model over the pool. Fails where the model is still so poor that
    its margins are noise (very few labels), and buys near-duplicates in large queries.
    """

    name: ClassVar[str] = "fal-margin"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "F-AL, Ahn et al., IEEE Access 2024"
    deterministic: ClassVar[bool] = True

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` smallest margins."""
        return smallest(top_two_margin(client.probs(client.global_model)), budget)
