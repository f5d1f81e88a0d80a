"""LoGo: clusters under the local model, uncertainty under the global one."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.acquisition.clustering import k_means
from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import FloatArray, IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, Params
from fal_bench.strategies._local_only import LocalOnly, LocalOnlyParams


class LoGoParams(LocalOnlyParams):
    """Parameters of ``logo``, besides the local-only model's.

    Attributes:
        n_init: restarts of k-means; the best clustering is kept. The released code leaves it to
            scikit-learn, whose versions of its time took ten.
    """

    n_init: Annotated[int, Field(ge=1)] = 1


class LoGo(LocalOnly):
    """Clusters under the local-only model, then the global model's most uncertain in each.

    Kim et al., "Re-thinking Federated Active Learning based on Inter-class Diversity", CVPR 2023.
    Macro step: k-means with one cluster per label to buy, on gradient embeddings of the local-only
    model restricted to the block of the predicted class. Micro step: in every cluster the sample
    with the largest entropy under the global model. Where clusters come out empty, further
    passes take the next most uncertain samples of each cluster.

    Cost: one training per client and cycle, two passes over the pool, and k-means with as many
    clusters as labels. Fails where the local model has seen too few labels to cluster by.
    """

    name: ClassVar[str] = "logo"
    version: ClassVar[int | None] = 2
    family: ClassVar[str] = "hybrid"
    paper: ClassVar[str] = "LoGo, Kim et al., CVPR 2023"
    Params: ClassVar[type[Params]] = LoGoParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the most uncertain sample of each cluster."""
        gradients = predicted_class_gradients(
            client.embeddings(client.local_model), client.probs(client.local_model)
        )
        uncertainty = entropy(client.probs(client.global_model))
        clusters = k_means(gradients, budget, client.rng, n_init=self.params.n_init).labels
        return most_uncertain_per_cluster(clusters, uncertainty, budget)


def predicted_class_gradients(embeddings: FloatArray, probs: FloatArray) -> FloatArray:
    """Return the last layer's loss gradients as if the predicted class were true.

    Only the block of the predicted class is kept: z * (1 - p_predicted).

    Args:
        embeddings: z, shape (n, d).
        probs: shape (n, n_classes).

    Returns:
        Shape (n, d).
    """
    gradients: FloatArray = embeddings * (1 - probs.max(axis=1, keepdims=True))
    return gradients


def most_uncertain_per_cluster(clusters: IntArray, uncertainty: RealArray, count: int) -> IntArray:
    """Return ``count`` positions: each cluster's most uncertain, then the next most uncertain.

    The first pass takes one sample of each cluster. If clusters are fewer than ``count``, further
    passes over the clusters take the next ceil(missing / clusters) samples of each, until
    ``count`` are collected.

    Args:
        clusters: the cluster of each sample, shape (n,).
        uncertainty: shape (n,); ties go to the earlier position.
        count: positions to return, at most n.
    """
    ranked = [
        members[largest(uncertainty[members], len(members))]
        for members in (np.flatnonzero(clusters == label) for label in np.unique(clusters))
    ]
    chosen = [members[0] for members in ranked]
    taken = 1
    while len(chosen) < count:
        step = math.ceil((count - len(chosen)) / len(ranked))
        for members in ranked:
            chosen.extend(members[taken : taken + step])
        taken += step
    return np.array(chosen[:count], dtype=np.int64)
