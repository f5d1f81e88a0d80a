"""Rank ensemble: the global and the local-only model's entropy rankings, fused."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Params
from fal_bench.strategies._local_only import LocalOnly, LocalOnlyParams


class EnsRankEntropyParams(LocalOnlyParams):
    """Parameters of ``ens-rank-entropy``, besides the local-only model's.

    Attributes:
        offset: a sample ranked i-th (from 0) scores 1 / (offset + i).
        truncated: only the first ``budget`` samples of each ranking score, as in LoGo's released
            code.
    """

    offset: Annotated[int, Field(ge=1)] = 20
    truncated: bool = False


class EnsRankEntropy(LocalOnly):
    """Reciprocal-rank fusion of the entropy rankings of the global and the local-only model.

    The rank ensemble that LoGo (Kim et al., CVPR 2023) compares itself with; the fusion is that of
    Cormack et al., SIGIR 2009. The released code fuses only the samples that one of the models
    would have bought (``truncated``).

    Needs: the global and the local-only model. Cost: one training per client and cycle, two passes
    over the pool. Fails where one of the two rankings is noise: it has the same say.
    """

    name: ClassVar[str] = "ens-rank-entropy"
    version: ClassVar[int | None] = 2
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "LoGo, Kim et al., CVPR 2023"
    Params: ClassVar[type[Params]] = EnsRankEntropyParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` best ranked of both rankings."""
        pool = len(client.unlabelled)
        depth = budget if self.params.truncated else pool
        scores = np.zeros(pool)
        for model in (client.global_model, client.local_model):
            ranking = largest(entropy(client.probs(model)), depth)
            scores[ranking] += 1 / (self.params.offset + np.arange(depth))
        return largest(scores, budget)
