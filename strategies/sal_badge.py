"""BADGE under each client's own model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fal_bench.plugins.strategy import ClientView, Params
from fal_bench.strategies._local_only import LocalOnly, LocalOnlyParams
from fal_bench.strategies.badge import Badge, BadgeParams

if TYPE_CHECKING:
    from fal_bench.learning.model import Model


class SalBadgeParams(BadgeParams, LocalOnlyParams):
    """Parameters of ``sal-badge``: those of ``badge`` and of the local-only model."""


class SalBadge(LocalOnly, Badge):
    """k-means++ sampling on hallucinated last-layer gradients of the local-only model.

    BADGE (Ash et al., ICLR 2020) as ``badge``, with a model trained on the client's own labels
    only (the S-AL arm of Ahn et al., IEEE Access 12, 2024), trained as LoGo's is.

    Needs: the local-only model's probabilities and embeddings. Cost: one training per client and
    cycle, and as ``badge``. Fails where the local model fits its few labels perfectly and is sure
    of classes that it has never seen.
    """

    name: ClassVar[str] = "sal-badge"
    version: ClassVar[int | None] = 2
    family: ClassVar[str] = "hybrid"
    paper: ClassVar[str] = "BADGE, Ash et al., ICLR 2020"
    Params: ClassVar[type[Params]] = SalBadgeParams

    def _model(self, client: ClientView) -> Model:
        return client.local_model
