"""Entropy sampling: by the federation's model, a client's own, a tuned one, or two together."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Params
from fal_bench.strategies._local_only import LocalOnly, LocalOnlyParams
from fal_bench.strategies._outlook import (
    ByBothModels,
    ByGlobalModel,
    ByLocalModel,
    ByTunedModel,
    Outlook,
    Rule,
)


class EntropyRule(Rule):
    """Largest predictive entropies."""

    family: ClassVar[str] = "uncertainty"
    deterministic: ClassVar[bool] = True

    def pick(self, client: ClientView, seen: Outlook, budget: int) -> IntArray:  # noqa: ARG002
        """Pick the ``budget`` largest entropies."""
        return largest(entropy(seen.probs()), budget)


class FalEntropy(ByGlobalModel, EntropyRule):
    """Largest predictive entropy under the global model, client by client.

    F-AL (Ahn et al., IEEE Access 12, 2024) with the entropy score (Shannon, 1948) in place of the
    margin.

    Cost: one pass of the global model over the pool. Fails with many classes, where entropy
    prefers samples that are unclear among unlikely classes too.
    """

    name: ClassVar[str] = "fal-entropy"
    version: ClassVar[int | None] = 1
    paper: ClassVar[str] = "F-AL, Ahn et al., IEEE Access 2024"


class SalEntropy(ByLocalModel, EntropyRule):
    """Largest predictive entropy under each client's local-only model.

    The separate arm (S-AL) of F-AL (Ahn et al., IEEE Access 12, 2024) with the entropy score in
    place of the margin; LoGo's paper and FairFAL's call it entropy with the local-only model.

    Needs: the local-only model, trained as LoGo's is. Cost: one training per client and cycle, one
    pass over the pool. Fails where a client has few labels or few classes: its model then knows
    nothing of the others, and is not uncertain about them either.
    """

    name: ClassVar[str] = "sal-entropy"
    version: ClassVar[int | None] = 2
    paper: ClassVar[str] = "F-AL (S-AL arm), Ahn et al., IEEE Access 2024"


class FtEntropy(ByTunedModel, EntropyRule):
    """Largest entropy under the global model after fine-tuning on the client's own labels.

    One of the ways to join global and local knowledge that LoGo (Kim et al., CVPR 2023) compares
    itself with. Trained as LoGo's local-only model, but from the global model's weights.

    Needs: the global model. Cost: one training per client and cycle, short where the global model
    fits the client's labels already; one pass over the pool. Fails where fine-tuning makes no
    difference (``fal-entropy`` costs less then) or forgets what other clients knew.
    """

    name: ClassVar[str] = "ft-entropy"
    version: ClassVar[int | None] = 2
    paper: ClassVar[str] = "LoGo, Kim et al., CVPR 2023"


class EnsEntropy(ByBothModels, EntropyRule):
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
    paper: ClassVar[str] = "Deng et al., Pattern Recognition 2024"


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
