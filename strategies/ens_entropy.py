"""Ensemble entropy: the global and the local-only model choose together."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView
from fal_bench.strategies._local_only import LocalOnly


class EnsEntropy(LocalOnly):
    """Largest entropy of the mean prediction of the global and the local-only model.

    Deng, Yang & Suzuki, "Federated Active Learning Framework for Efficient Annotation Strategy in
    Skin-lesion Classification", Pattern Recognition 2024. Identical to the logit ensemble that
    LoGo (Kim et al., CVPR 2023) compares itself with, which averages probabilities too. The local
    model is trained as LoGo's is; the paper's own settings are not public.

    Needs: the global and the local-only model. Cost: one training per client and cycle, two passes
    over the pool. Fails where one of the two models is much worse than the other: the mean gives
    both the same say.
    """

    name: ClassVar[str] = "ens-entropy"
    version: ClassVar[int | None] = 2
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "Deng et al., Pattern Recognition 2024"

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` largest entropies of the mean prediction."""
        mean = (client.probs(client.global_model) + client.probs(client.local_model)) / 2
        return largest(entropy(mean), budget)
