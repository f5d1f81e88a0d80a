"""Core-set selection under each client's own model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fal_bench.plugins.strategy import ClientView
from fal_bench.strategies._local_only import LocalOnly
from fal_bench.strategies.coreset import CoreSet

if TYPE_CHECKING:
    from fal_bench.learning.model import Model


class SalCoreSet(LocalOnly, CoreSet):
    """k-centre greedy on the local-only model's embeddings.

    Core-set (Sener & Savarese, ICLR 2018) as ``coreset``, with a model trained on the client's own
    labels only (the S-AL arm of Ahn et al., IEEE Access 12, 2024), trained as LoGo's is.

    Needs: the local-only model's embeddings of labelled and unlabelled samples. Cost: one training
    per client and cycle, and as ``coreset``. Fails as ``coreset`` does, and where few labels leave
    the embedding close to a random one.
    """

    name: ClassVar[str] = "sal-coreset"
    version: ClassVar[int | None] = 2
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "Core-set, Sener & Savarese, ICLR 2018"

    def _model(self, client: ClientView) -> Model:
        return client.local_model
