"""Federated TypiClust: clusters of the whole federation, from sums and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.acquisition.clustering import cluster_sums, k_means, nearest_centres, next_centres
from fal_bench.arrays import IntArray, RealArray
from fal_bench.data.apportionment import largest_remainder
from fal_bench.plugins.strategy import ClientView, FederationView, Params, Selection, Strategy
from fal_bench.strategies._client_state import ClientState
from fal_bench.strategies.typiclust import LARGE_POOL


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


class FedTypiClust(Strategy):
    """TypiClust over the whole federation, in which clients send only sums, counts and distances.

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

    def select_all(self, federation: FederationView) -> Sequence[Selection]:
        """Cluster together, then serve the clusters with the fewest labels."""
        states: dict[int, ClusteredClient] = {}

        def join(client: ClientView) -> IntArray:
            states[client.index] = ClusteredClient(client, federation.budgets[client.index])
            return np.array([len(client.unlabelled), len(client.labelled)])

        sizes = np.array(federation.gather(join))
        count = min(int(sizes[:, 1].sum()) + sum(federation.budgets), self.params.max_clusters)
        shares = federation.broadcast(largest_remainder(sizes.sum(axis=1), count))
        starts = federation.gather(lambda client: states[client.index].start(shares))
        centres = federated_k_means(
            federation,
            {index: state.points for index, state in states.items()},
            federation.broadcast(np.concatenate(starts)),
            self.params.iterations,
        )
        self._serve(federation, states, centres)
        return federation.each(lambda client, _: np.array(states[client.index].chosen))

    def _serve(
        self, federation: FederationView, states: dict[int, ClusteredClient], centres: RealArray
    ) -> None:
        """Let clients buy, cluster by cluster, until all budgets are spent."""
        counts = federation.gather(lambda client: states[client.index].assign(centres))
        sizes, labelled = np.sum(counts, axis=0).T
        budgets = np.array(federation.budgets)
        while budgets.any():
            distances = np.array(federation.gather(lambda client: states[client.index].closest()))
            served = []
            for cluster in self._next(distances, sizes, labelled):
                offers = np.where(budgets > 0, distances[:, cluster], np.inf)
                client = int(offers.argmin())
                if np.isfinite(offers[client]):
                    served.append((client, cluster))
                    budgets[client] -= 1
                    labelled[cluster] += 1
            for client, cluster in federation.broadcast(np.array(served, dtype=np.int32)).tolist():
                states[client].buy(cluster)

    def _next(self, distances: RealArray, sizes: IntArray, labelled: IntArray) -> IntArray:
        """Return the clusters that are served next: the fewest labels, the largest first."""
        last = (
            labelled.max() + 1
        )  # more labels than any cluster has: small ones wait for all others
        rank = labelled + last * (sizes < self.params.min_cluster_size)
        feasible = np.flatnonzero(np.isfinite(distances).any(axis=0))
        first = feasible[rank[feasible] == rank[feasible].min()]
        ordered: IntArray = first[np.argsort(-sizes[first], kind="stable")]
        return ordered


def federated_k_means(
    federation: FederationView,
    points: Mapping[int, RealArray],
    centres: RealArray,
    iterations: int,
) -> RealArray:
    """Run Lloyd's algorithm on points that stay with their clients.

    Args:
        federation: carries the sums up and the centres down.
        points: of each client, by its index, shape (n, d).
        centres: where to start, shape (k, d), known to everybody.
        iterations: steps.

    Returns:
        The centres, shape (k, d), in single precision.
    """
    for _ in range(iterations):
        known = centres

        def sums(client: ClientView, known: RealArray = known) -> RealArray:
            return cluster_sums(points[client.index], known)

        total = np.array(federation.gather(sums), dtype=np.float64).sum(axis=0)
        centres = federation.broadcast(next_centres(total, known).astype(np.float32))
    return centres


class ClusteredClient(ClientState):
    """A client whose samples belong to clusters of the whole federation."""

    def start(self, shares: IntArray) -> RealArray:
        """Return the centres of this client's own k-means, at most its share of them."""
        share = int(shares[self.client.index])
        if share == 0:
            return np.empty((0, self.points.shape[1]), dtype=np.float32)
        found = k_means(self.points, share, self.client.rng, mini_batch_above=LARGE_POOL)
        return found.centres.astype(np.float32)

    def assign(self, centres: RealArray) -> IntArray:
        """Assign samples to clusters; return how many of all and of the labelled each has."""
        labels, distances = nearest_centres(self.points, centres)
        self._clusters, labelled = np.split(labels, [self.unlabelled])
        self._distances = distances[: self.unlabelled]
        self._count = len(centres)
        counts = [np.bincount(part, minlength=self._count) for part in (labels, labelled)]
        return np.stack(counts, axis=1)

    def closest(self) -> RealArray:
        """Return each cluster's distance to the closest sample that can be bought, shape (k,)."""
        closest = np.full(self._count, np.inf, dtype=np.float32)
        offered = self.for_sale
        np.minimum.at(closest, self._clusters[offered], self._distances[offered])
        return closest

    def buy(self, cluster: int) -> None:
        """Buy the closest sample of a cluster; ties go to the earlier one."""
        members = np.flatnonzero(self.for_sale & (self._clusters == cluster))
        self.take(int(members[self._distances[members].argmin()]))
