"""TypiClust: the most typical sample of each cluster that has no label yet."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

import numpy as np
from pydantic import Field

from fal_bench.acquisition.clustering import k_means
from fal_bench.acquisition.points import mean_neighbour_distance
from fal_bench.arrays import IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy
from fal_bench.strategies._client_state import unit_embeddings

LARGE_POOL: Final = 20_000
"""Above this many samples mini-batch k-means takes over."""


class TypiClustParams(Params):
    """Parameters of ``typiclust``; the defaults are the paper's.

    Attributes:
        neighbours: nearest neighbours whose mean distance tells how typical a sample is.
        max_clusters: most clusters.
        min_cluster_size: smaller clusters come last.
        as_released: what the released code does and the paper does not say: squared distances, to
            at most half of the cluster; clusters of exactly ``min_cluster_size`` count as small;
            clusters take turns in their first order, and labels of this query do not count.
    """

    neighbours: Annotated[int, Field(ge=1)] = 20
    max_clusters: Annotated[int, Field(ge=1)] = 500
    min_cluster_size: Annotated[int, Field(ge=1)] = 5
    as_released: bool = False


class TypiClust(Strategy):
    """The most typical sample of the largest cluster with the fewest labels, again and again.

    Hacohen, Dekel & Weinshall, "Active Learning on a Budget: Opposite Strategies Suit High and Low
    Budgets", ICML 2022. Labelled and unlabelled samples are clustered into as many clusters as
    there will be labels, so that enough of them have none; in each the sample with the smallest
    mean distance to its nearest neighbours among the cluster's unlabelled samples is bought.
    Small clusters, which the paper drops, come last, because the budget has to be spent.

    The paper embeds by self-supervised learning (SimCLR); here the embedding is the global
    model's, scaled to unit length, and changes every cycle. Above 20,000 samples mini-batch
    k-means is used (the released code: above 50 clusters).

    Needs: the global model's embeddings of labelled and unlabelled samples. Cost: one pass over
    both, k-means with labels + budget clusters, and all distances inside each chosen cluster;
    memory linear in the pool. Fails at high budgets, where typical samples teach nothing new, and
    where the embedding has not learned the classes apart.
    """

    name: ClassVar[str] = "typiclust"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "TypiClust, Hacohen et al., ICML 2022"
    Params: ClassVar[type[Params]] = TypiClustParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Cluster, then pick typical samples of the clusters with the fewest labels."""
        features = unit_embeddings(client)
        count = min(len(client.labelled) + budget, self.params.max_clusters)
        clusters = k_means(features, count, client.rng, mini_batch_above=LARGE_POOL).labels
        return typical_samples(features, clusters, len(client.unlabelled), budget, self.params)


def typical_samples(
    features: RealArray,
    clusters: IntArray,
    unlabelled: int,
    budget: int,
    params: TypiClustParams,
) -> IntArray:
    """Return ``budget`` positions, cluster by cluster.

    Args:
        features: of the unlabelled samples, then of the labelled ones, shape (n + m, d).
        clusters: of the same samples, shape (n + m,).
        unlabelled: n.
        budget: positions to return, at most n.
        params: the strategy's parameters.
    """
    members = np.unique(clusters, return_inverse=True)[1]
    sizes = np.bincount(members)
    small = sizes < params.min_cluster_size + params.as_released
    labelled = np.bincount(members[unlabelled:], minlength=len(sizes))
    left = np.bincount(members[:unlabelled], minlength=len(sizes))
    picked = np.zeros_like(sizes)
    waiting = members[:unlabelled].copy()  # the cluster of each sample that is not picked yet
    chosen = np.empty(budget, dtype=np.int64)
    for number in range(budget):
        turns = (labelled, picked) if params.as_released else (labelled + picked,)
        cluster = np.lexsort((-sizes, *turns, small, left == 0))[0]
        candidates = np.flatnonzero(waiting == cluster)
        chosen[number] = candidates[most_typical(features[candidates], params)]
        waiting[chosen[number]] = -1
        picked[cluster] += 1
        left[cluster] -= 1
    return chosen


def most_typical(features: RealArray, params: TypiClustParams) -> int:
    """Return the position of the sample in the densest place; ties go to the earlier one."""
    half = len(features) // 2 if params.as_released else len(features)
    neighbours = min(params.neighbours, half)
    distances = mean_neighbour_distance(features, neighbours, squared=params.as_released)
    return int(distances.argmin())
