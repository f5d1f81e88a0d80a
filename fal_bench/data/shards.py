"""The shards partition (McMahan et al., 2017): every client holds a few classes only."""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.errors import InvalidSpecError


def shards_partition(
    labels: IntArray, classes_per_client: int, clients: int, rng: np.random.Generator
) -> list[IntArray]:
    """Sort samples by class, cut them in shards and deal the same number to every client.

    With classes of equal size and ``clients * classes_per_client`` a multiple of their number,
    every shard is of one class, and a client holds at most ``classes_per_client`` classes (fewer
    when it is dealt two shards of one class). Otherwise a shard may straddle a class border and
    bring a client some samples of a further class.

    Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized
    Data", AISTATS 2017, section 3.

    Args:
        labels: the class of each sample; shape (samples,).
        classes_per_client: shards dealt to each client.
        clients: how many clients there are, at most ``samples``.
        rng: the stream that the partition is drawn from.

    Returns:
        For each client the positions of its samples. Sizes differ by at most one.

    Raises:
        InvalidSpecError: there are fewer classes than a client should hold, fewer shards than
            classes, or fewer samples than shards.
    """
    samples, shards = len(labels), clients * classes_per_client
    n_classes = len(np.unique(labels))
    if classes_per_client > n_classes:
        raise InvalidSpecError(
            f"The shards partition asks for {classes_per_client} classes per client, but the "
            f"training data have {n_classes}; lower classes_per_client."
        )
    if shards < n_classes:
        raise InvalidSpecError(
            f"The shards partition has {shards} shards for {n_classes} classes; raise "
            f"classes_per_client to at least {-(-n_classes // clients)}."
        )
    if shards > samples:
        raise InvalidSpecError(
            f"{samples} training samples cannot be cut in {shards} shards; "
            f"lower clients or classes_per_client."
        )
    shuffled = rng.permutation(samples)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    # Bounds i * samples / shards, rounded down, fall on every class border that is a multiple of
    # samples / shards, and they spread the shards with one sample more evenly.
    bounds = np.arange(shards + 1) * samples // shards
    pieces = np.split(by_class, bounds[1:-1])
    # Dealt in turn, larger shards first, no client gets more than one large shard extra.
    drawn = rng.permutation(shards)
    dealt = drawn[np.argsort(-np.diff(bounds)[drawn], kind="stable")]
    return [
        np.concatenate([pieces[shard] for shard in dealt[client::clients]])
        for client in range(clients)
    ]
