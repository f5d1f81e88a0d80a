"""Margin sampling: by the federation's model, or by each client's own."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView
from fal_bench.strategies._outlook import ByGlobalModel, ByLocalModel, Outlook, Rule


class MarginRule(Rule):
    """Smallest top-two margins."""

    family: ClassVar[str] = "uncertainty"
    deterministic: ClassVar[bool] = True

    def pick(self, client: ClientView, seen: Outlook, budget: int) -> IntArray:  # noqa: ARG002
        """Pick the ``budget`` smallest margins."""
        return smallest(top_two_margin(seen.probs()), budget)


class FalMargin(ByGlobalModel, MarginRule):
    """Smallest top-two margin under the global model, client by client.

    The federated arm of F-AL (Ahn et al., "Federated Active Learning (F-AL): an Efficient
    Annotation Strategy for Federated Learning", IEEE Access 12, 2024): the selection model is
    itself obtained by federated learning. Compare with its control ``sal-margin``.

    Cost: one pass of the global model over the pool. Fails where the model is still so poor that
    its margins are noise (very few labels), and buys near-duplicates in large queries.
    """

    name: ClassVar[str] = "fal-margin"
    version: ClassVar[int | None] = 1
    paper: ClassVar[str] = "F-AL, Ahn et al., IEEE Access 2024"


class SalMargin(ByLocalModel, MarginRule):
    """Smallest top-two margin under each client's local-only model.

    The separate arm (S-AL) of F-AL (Ahn et al., IEEE Access 12, 2024), its control: a client
    chooses with a model trained on its own labels only. The local model is trained as LoGo's is
    (``fal_bench.plugins.needs.LocalTraining``), because the paper's settings are not public.

    Cost: one training per client and cycle, one pass over the pool. Fails where a client has few
    labels or few classes.
    """

    name: ClassVar[str] = "sal-margin"
    version: ClassVar[int | None] = 2
    paper: ClassVar[str] = "F-AL (S-AL arm), Ahn et al., IEEE Access 2024"
