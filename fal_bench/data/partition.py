"""Partitions: which client holds which training sample.

For all kinds every sample lands at exactly one client and client sizes differ by at most one, so
that a difference between kinds is one of content, never of size.
"""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.data.apportionment import equal_sizes
from fal_bench.data.dirichlet import dirichlet_partition
from fal_bench.data.shards import shards_partition
from fal_bench.errors import InvalidSpecError
from fal_bench.task import Dirichlet, Iid, Partition, Shards


def partition(
    labels: IntArray, spec: Partition, clients: int, rng: np.random.Generator
) -> list[IntArray]:
    """Spread samples over clients.

    Args:
        labels: the class of each sample; shape (samples,).
        spec: the kind of partition and its parameters.
        clients: how many clients there are.
        rng: the stream that the partition is drawn from.

    Returns:
        For each client the sorted positions of its samples in ``labels``. Sizes differ by at most
        one; the larger clients come first.

    Raises:
        InvalidSpecError: there are too few samples or classes for this partition.
    """
    if clients < 1:
        raise InvalidSpecError(f"A partition needs at least 1 client, not {clients}.")
    if clients > len(labels):
        raise InvalidSpecError(
            f"{len(labels)} training samples cannot be spread over {clients} clients; "
            f"lower clients or take a larger data set."
        )
    match spec:
        case Iid():
            parts = _iid(len(labels), clients, rng)
        case Dirichlet(alpha=alpha):
            parts = dirichlet_partition(labels, alpha, clients, rng)
        case Shards(classes_per_client=classes_per_client):
            parts = shards_partition(labels, classes_per_client, clients, rng)
    return [np.sort(part) for part in parts]


def _iid(samples: int, clients: int, rng: np.random.Generator) -> list[IntArray]:
    """Cut a random permutation in equal pieces."""
    return np.split(rng.permutation(samples), np.cumsum(equal_sizes(samples, clients))[:-1])
