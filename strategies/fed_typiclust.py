"""Federated TypiClust: clusters of the whole federation, from sums and counts."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fal_bench.arrays import IntArray, RealArray
from fal_bench.plugins.strategy import Params
from fal_bench.strategies._federated_clusters import FederatedClusters


class FedTypiClustParams(Params):
    """Parameters of ``fed-typiclust``.

    Attributes:
        iterations: steps of federated k-means.
        max_clusters: most clusters.
        min_cluster_size: smaller clusters come last.
    """

    iterations: Annotated[int, Field(ge=0)] = 10
    max_clusters: Annotated[int, Field(ge=1)] = 500
    min_cluster_size: Annotated[int, Field(ge=1)] = 5


class FedTypiClust(FederatedClusters):
    """TypiClust over the whole federation, in which clients send no samples.

    Mohr & Weinshall, arXiv 2608.18634, 2026, after Hacohen et al., ICML 2022. The samples of all
    clients are clustered together, into as many clusters as there will be labels: every client
    sends the sum and the number of its samples nearest to each centre, the server divides. Then
    the cluster with the fewest labels anywhere, the largest first, is served by the client that
    has a sample closest to its centre and budget left, until all budgets are spent.

    The paper's encoder is self-supervised and frozen; here the embedding is the global model's,
    scaled to unit length, and clusters are made again every cycle. The paper's start of k-means is
    not known to us; here each client sends the centres of a k-means of its own, as many as its
    share of the samples. Sums travel in single precision; secure aggregation is not simulated.

    Needs: the global model's embeddings, and the server. Cost: one pass over pool and labelled
    samples, a k-means at each client and ten steps in common; messages of clusters x embedding
    size a client and step, all counted; memory linear in the pool. Fails where clients differ
    strongly: a label bought from one client does not stand for another's samples, and at high
    budgets, as TypiClust does.
    """

    name: ClassVar[str] = "fed-typiclust"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "coordinated"
    paper: ClassVar[str] = "Mohr & Weinshall, arXiv 2608.18634"
    Params: ClassVar[type[Params]] = FedTypiClustParams

    def _rank(self, sizes: RealArray, labelled: IntArray) -> RealArray:
        """The fewest labels; small clusters wait for all others."""
        last = labelled.max() + 1  # more labels than any cluster has
        rank: RealArray = labelled + last * (sizes < self.params.min_cluster_size)
        return rank
