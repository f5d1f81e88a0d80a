"""S-AL with margin sampling: each client's own model chooses."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView
from fal_bench.strategies._local_only import LocalOnly


class SalMargin(LocalOnly):
    """Smallest top-two margin under each client's local-only model.

    The separate arm (S-AL) of F-AL (Ahn et al., IEEE Access 12, 2024), its control: a client
    chooses with a model trained on its own labels only. The local model is trained as LoGo's is
    (``fal_bench.plugins.needs.LocalTraining``), because the paper's settings are not public.

    Cost: one training per client and cycle, one pass over the pool. Fails where a client has few
    labels or few classes.
    """

    name: ClassVar[str] = "sal-margin"
    version: ClassVar[int | None] = 2
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "F-AL (S-AL arm), Ahn et al., IEEE Access 2024"
    deterministic: ClassVar[bool] = True

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` smallest margins."""
        return smallest(top_two_margin(client.probs(client.local_model)), budget)
