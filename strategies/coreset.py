"""Core-set selection: no sample far from a labelled one, under one model or another."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.acquisition.diversity import k_centre_greedy
from fal_bench.acquisition.points import Vectors
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView
from fal_bench.strategies._outlook import ByGlobalModel, ByLocalModel, Outlook, Rule


class CoreSetRule(Rule):
    """k-centre greedy, with the labelled samples as centres."""

    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "Core-set, Sener & Savarese, ICLR 2018"

    def pick(self, client: ClientView, seen: Outlook, budget: int) -> IntArray:
        """Pick ``budget`` samples, each the farthest from what is labelled or picked."""
        labelled = Vectors(seen.embeddings(client.labelled))
        return k_centre_greedy(Vectors(seen.embeddings()), budget, labelled)


class CoreSet(ByGlobalModel, CoreSetRule):
    """k-centre greedy on the global model's embeddings, with the labelled samples as centres.

    Sener & Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
    ICLR 2018; the greedy algorithm, which starts the paper's mixed-integer refinement and is what
    the field runs under the name. Each pick is the sample farthest from all labelled and picked
    ones; ties go to the smaller id.

    Needs: the global model's embeddings of labelled and unlabelled samples. Cost: one pass over
    both, labelled x pool distances, then pool x embedding size operations a label; memory linear
    in the pool. Fails on outliers, which are far from everything, and where embeddings are
    high-dimensional and all distances alike.
    """

    name: ClassVar[str] = "coreset"
    version: ClassVar[int | None] = 1


class SalCoreSet(ByLocalModel, CoreSetRule):
    """k-centre greedy on the local-only model's embeddings.

    Core-set (Sener & Savarese, ICLR 2018) as ``coreset``, with a model trained on the client's own
    labels only (the S-AL arm of Ahn et al., IEEE Access 12, 2024), trained as LoGo's is.

    Needs: the local-only model's embeddings of labelled and unlabelled samples. Cost: one training
    per client and cycle, and as ``coreset``. Fails as ``coreset`` does, and where few labels leave
    the embedding close to a random one.
    """

    name: ClassVar[str] = "sal-coreset"
    version: ClassVar[int | None] = 2
