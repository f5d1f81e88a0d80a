"""Clusters of the whole federation: what strategies share that make them from sums and counts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from fal_bench.acquisition.clustering import cluster_sums, k_means, nearest_centres, next_centres
from fal_bench.arrays import IntArray, RealArray
from fal_bench.data.apportionment import largest_remainder
from fal_bench.plugins.strategy import ClientView, FederationView, Selection, Strategy
from fal_bench.strategies._client_state import ClientState
from fal_bench.strategies.typiclust import LARGE_POOL


class FederatedClusters(Strategy):
    """Clusters all clients' samples together, and serves cluster after cluster.

    Its parameters have ``iterations`` and ``max_clusters``.
    """

    def select_all(self, federation: FederationView) -> Sequence[Selection]:
        """Cluster together, then serve the clusters in turn."""
        states: dict[int, ClusteredClient] = {}

        def join(client: ClientView) -> IntArray:
            states[client.index] = self._at(client, federation.budgets[client.index])
            return np.array([len(client.unlabelled), len(client.labelled)])

        sizes = np.array(federation.gather(join))
        count = min(int(sizes[:, 1].sum()) + sum(federation.budgets), self.params.max_clusters)
        shares = federation.broadcast(largest_remainder(sizes.sum(axis=1), count))
        starts = federation.gather(lambda client: states[client.index].start(shares))
        centres = federated_k_means(
            federation, states, federation.broadcast(np.concatenate(starts)), self.params.iterations
        )
        self._serve(federation, states, centres)
        return federation.each(lambda client, _: np.array(states[client.index].chosen))

    def _at(self, client: ClientView, budget: int) -> ClusteredClient:
        """Return what a client keeps to itself."""
        return ClusteredClient(client, budget)

    @abstractmethod
    def _rank(self, sizes: RealArray, labelled: IntArray) -> RealArray:
        """Return the rank of each cluster, shape (k,); the lowest are served next.

        Args:
            sizes: the weights of each cluster's samples together, shape (k,).
            labelled: labels in each cluster, shape (k,).
        """

    def _serve(
        self,
        federation: FederationView,
        states: Mapping[int, ClusteredClient],
        centres: RealArray,
    ) -> None:
        """Let clients buy, cluster by cluster, until all budgets are spent.

        Of clusters of equal rank the largest comes first, and the client buys that has budget left
        and a sample closest to the centre.
        """
        counts = federation.gather(lambda client: states[client.index].assign(centres))
        sizes, labelled = np.sum(counts, axis=0).T
        budgets = np.array(federation.budgets)
        while budgets.any():
            distances = np.array(federation.gather(lambda client: states[client.index].closest()))
            rank = self._rank(sizes, labelled)
            served = federation.broadcast(_served(distances, rank, sizes, budgets))
            # What was broadcast is all that clients know of it.
            for client, cluster in served.tolist():
                budgets[client] -= 1
                labelled[cluster] += 1
                if client in states:
                    states[client].buy(cluster)


def _served(distances: RealArray, rank: RealArray, sizes: RealArray, budgets: IntArray) -> IntArray:
    """Return which clients buy from which clusters next: (client, cluster), one a row.

    Args:
        distances: of each client's closest sample for sale to each centre, shape (clients, k).
        rank: of each cluster, shape (k,).
        sizes: of each cluster, shape (k,).
        budgets: labels that each client may still buy, shape (clients,).
    """
    feasible = np.flatnonzero(np.isfinite(distances).any(axis=0))
    if not feasible.size:  # as a client may find that does not see the others' distances
        return np.empty((0, 2), dtype=np.int32)
    first = feasible[rank[feasible] == rank[feasible].min()]
    left = budgets.copy()
    served = []
    for cluster in first[np.argsort(-sizes[first], kind="stable")]:
        offers = np.where(left > 0, distances[:, cluster], np.inf)
        client = int(offers.argmin())
        if np.isfinite(offers[client]):
            served.append((client, cluster))
            left[client] -= 1
    return np.array(served, dtype=np.int32)


def federated_k_means(
    federation: FederationView,
    states: Mapping[int, ClusteredClient],
    centres: RealArray,
    iterations: int,
) -> RealArray:
    """Run Lloyd's algorithm on points that stay with their clients.

    Args:
        federation: carries the sums up and the centres down.
        states: of the clients, by index.
        centres: where to start, shape (k, d), known to everybody.
        iterations: steps.

    Returns:
        The centres, shape (k, d), in single precision.
    """
    for _ in range(iterations):
        known = centres

        def sums(client: ClientView, known: RealArray = known) -> RealArray:
            return states[client.index].sums(known)

        total = np.array(federation.gather(sums), dtype=np.float64).sum(axis=0)
        centres = federation.broadcast(next_centres(total, known).astype(np.float32))
    return centres


class ClusteredClient(ClientState):
    """A client whose samples belong to clusters of the whole federation.

    Attributes:
        weights: what its samples count for, shape (n + m,); all the same if None.
    """

    weights: RealArray | None = None

    def start(self, shares: IntArray) -> RealArray:
        """Return the centres of this client's own k-means, at most its share of them."""
        share = int(shares[self.client.index])
        if share == 0:
            return np.empty((0, self.points.shape[1]), dtype=np.float32)
        found = k_means(self.points, share, self.client.rng, mini_batch_above=LARGE_POOL)
        return found.centres.astype(np.float32)

    def sums(self, centres: RealArray) -> RealArray:
        """Return what this client contributes to the next centres; see ``cluster_sums``."""
        return cluster_sums(self.points, centres, self.weights)

    def assign(self, centres: RealArray) -> RealArray:
        """Assign samples to clusters; return the size of each, and its labels, shape (k, 2)."""
        labels, distances = nearest_centres(self.points, centres)
        self._clusters, labelled = np.split(labels, [self.unlabelled])
        self._distances = distances[: self.unlabelled]
        self._count = len(centres)
        sizes = np.bincount(labels, self.weights, minlength=self._count)
        return np.stack([sizes, np.bincount(labelled, minlength=self._count)], axis=1)

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
