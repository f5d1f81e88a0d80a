"""Partitions: which client holds which training sample.

In every kind of partition each sample lands at exactly one client, and no client is empty. Kinds
that are drawn differ in content, never in size: sizes are equal unless the partition says more.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from fal_bench.arrays import DoubleArray, IntArray
from fal_bench.data.apportionment import equal_sizes, largest_remainder
from fal_bench.data.base import Dataset
from fal_bench.errors import InvalidSpecError
from fal_bench.task import (
    Dirichlet,
    Given,
    Iid,
    LogNormalSizes,
    Shards,
    SizeShares,
    Synthetic,
    Task,
)

_SINKHORN_STEPS = 1000


def with_known_clients(task: Task, dataset: Dataset) -> Task:
    """Return a task with as many clients as the data have, if it takes those of the data.

    Raises:
        InvalidSpecError: the data have no clients, or another number than the task states.
    """
    if not isinstance(task.partition, Given):
        return task
    if dataset.clients is None:
        raise InvalidSpecError(
            f"Task {task.name!r}: data set {task.dataset!r} comes with no clients, and the "
            "partition is given; name the client of each sample, or use the partition iid, "
            "dirichlet or shards."
        )
    target = task.partition.target
    if target and target not in dataset.clients.names:
        raise InvalidSpecError(
            f"Task {task.name!r}: partition.target {target!r} is no client of data set "
            f"{task.dataset!r}; choose from: {', '.join(dataset.clients.names)}."
        )
    if target and dataset.clients.test is None:
        raise InvalidSpecError(
            f"Task {task.name!r}: data set {task.dataset!r} does not say which client has which "
            f"test sample, so those of {target!r} are not known; name them, or leave "
            "partition.target out."
        )
    return task.with_clients(len(dataset.clients.names) - bool(target))


@lru_cache(maxsize=4)
def with_target(dataset: Dataset, name: str) -> Dataset:
    """Return a data set whose test part is that of one client, and whose other clients are left.

    Args:
        dataset: data with clients of both parts.
        name: the client that the model is for; its training inputs become ``target_features``.
    """
    clients = dataset.clients
    assert clients is not None
    assert clients.test is not None
    number = clients.names.index(name)
    others, rows = clients.without(number)
    tested = np.flatnonzero(clients.test == number)
    return replace(
        dataset,
        train_features=dataset.train_features[rows],
        train_labels=dataset.train_labels[rows],
        test_features=dataset.test_features[tested],
        test_labels=dataset.test_labels[tested],
        clients=others,
        target_features=dataset.train_features[np.flatnonzero(clients.train == number)],
        train_votes=None if dataset.train_votes is None else dataset.train_votes[rows],
    )


def given_parts(owners: IntArray, clients: int) -> list[IntArray]:
    """Return for each client the sorted positions of its samples in ``owners``."""
    order = np.argsort(owners, kind="stable")
    return np.split(order, np.cumsum(np.bincount(owners, minlength=clients))[:-1])


def partition(
    labels: IntArray, spec: Synthetic, clients: int, rng: np.random.Generator
) -> list[IntArray]:
    """Spread samples over clients.

    Args:
        labels: the class of each sample; shape (samples,).
        spec: the kind of partition and its parameters.
        clients: how many clients there are, at least 1.
        rng: the stream that the partition is drawn from.

    Returns:
        For each client the sorted positions of its samples in ``labels``. Unless the partition
        says more, sizes differ by at most one; the larger clients come first.

    Raises:
        InvalidSpecError: there are too few samples or classes for this partition.
    """
    if clients > len(labels):
        raise InvalidSpecError(
            f"{len(labels)} training samples cannot be spread over {clients} clients; "
            f"lower clients or take a larger data set."
        )
    sizes = _sizes(spec, len(labels), clients, rng)
    match spec:
        case Iid():
            parts = np.split(rng.permutation(len(labels)), np.cumsum(sizes)[:-1])
        case Dirichlet():
            parts = _dirichlet(labels, spec, sizes, rng)
        case Shards(classes_per_client=classes_per_client):
            parts = _shards(labels, classes_per_client, sizes, rng)
        case _:
            raise TypeError(f"there is no partition {spec!r}")
    return [np.sort(part) for part in parts]


def _sizes(spec: Synthetic, samples: int, clients: int, rng: np.random.Generator) -> IntArray:
    """Return how many samples each client holds, at least one; drawn where the law is random."""
    match spec.sizes:
        case SizeShares(shares=shares):
            weights = np.asarray(shares)
        case LogNormalSizes(sigma=sigma):
            weights = rng.lognormal(sigma=sigma, size=clients)
        case _:
            return equal_sizes(samples, clients)
    beyond_one = np.maximum(weights / weights.sum() * samples - 1, 1e-9)
    return 1 + largest_remainder(beyond_one, samples - clients)


def _shards(
    labels: IntArray, classes_per_client: int, sizes: IntArray, rng: np.random.Generator
) -> list[IntArray]:
    """Sort samples by class, cut them into shards and deal the same number to every client.

    Where sizes of clients are unequal, so are their shards.

    If classes have equal sizes and their number divides ``clients * classes_per_client``, every
    shard has one class, and a client holds at most ``classes_per_client`` classes (fewer if it is
    dealt two shards of one class). Otherwise a shard may cross a class border and bring a client
    some samples of a further class.

    Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized
    Data", AISTATS 2017, section 3.
    """
    samples, clients = len(labels), len(sizes)
    shards = clients * classes_per_client
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
    if sizes.max() - sizes.min() > 1:
        return _unequal_shards(by_class, classes_per_client, sizes, rng)
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


def _unequal_shards(
    by_class: IntArray, shards_per_client: int, sizes: IntArray, rng: np.random.Generator
) -> list[IntArray]:
    """Cut samples into shards of the clients' own sizes, which lie in random order."""
    clients = np.repeat(np.arange(len(sizes)), shards_per_client)
    widths = np.concatenate([equal_sizes(size, shards_per_client) for size in sizes])
    order = rng.permutation(len(widths))
    pieces = np.split(by_class, np.cumsum(widths[order])[:-1])
    dealt: list[list[IntArray]] = [[] for _ in sizes]
    for client, piece in zip(clients[order], pieces, strict=True):
        dealt[client].append(piece)
    return [np.concatenate(part) for part in dealt]


def _dirichlet(
    labels: IntArray, spec: Dirichlet, sizes: IntArray, rng: np.random.Generator
) -> list[IntArray]:
    """Spread samples so that class proportions per client are Dirichlet and sizes as wanted.

    Class proportions of each client follow a Dirichlet law (Hsu et al., "Measuring the Effects of
    Non-Identical Data Distribution for Federated Visual Classification", 2019). The matrix is then
    rescaled to the clients' sizes and the true class counts by Sinkhorn's algorithm (Sinkhorn &
    Knopp, 1967; it finds the nearest such matrix in Kullback-Leibler divergence), rounded to whole
    samples, and repaired until rows and columns add up exactly.

    Everything up to the rounding is in logarithms: at alpha 0.001, the smallest that a task may
    have, most Dirichlet draws lie below the smallest positive float, and a matrix of zeros could
    not be rescaled. There clients already hold as few classes as equal sizes allow; below,
    Sinkhorn's algorithm stalls.
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    log_weights = log_dirichlet(spec.alpha, len(sizes), len(counts), rng)
    find = balanced_quotas if spec.balanced else exact_quotas
    quotas = find(log_weights, sizes, counts)
    dealt: list[list[IntArray]] = [[] for _ in sizes]
    for column, quota in enumerate(quotas.T):
        members = rng.permutation(np.flatnonzero(classes == column))
        for part, piece in zip(dealt, np.split(members, np.cumsum(quota)[:-1]), strict=True):
            part.append(piece)
    return [np.concatenate(part) for part in dealt]


def log_dirichlet(alpha: float, rows: int, columns: int, rng: np.random.Generator) -> DoubleArray:
    """Draw logarithms of symmetric Dirichlet rows, without underflow however small alpha is.

    A Gamma(alpha) variable is Gamma(alpha + 1) times U^(1 / alpha) (Marsaglia & Tsang, 2000), and
    -log U is exponential.

    Returns:
        Log proportions, finite; shape (rows, columns).
    """
    log_gamma = np.log(rng.standard_gamma(alpha + 1, (rows, columns)))
    log_gamma -= rng.standard_exponential((rows, columns)) / alpha
    normalised: DoubleArray = log_gamma - np.logaddexp.reduce(log_gamma, axis=1, keepdims=True)
    return normalised


def exact_quotas(log_weights: DoubleArray, sizes: IntArray, counts: IntArray) -> IntArray:
    """Return whole numbers near the weights whose rows and columns add up as asked.

    Args:
        log_weights: log of the wanted proportions, finite; shape (clients, classes).
        sizes: samples of each client, positive; shape (clients,).
        counts: samples of each class, positive, with the same total; shape (classes,).

    Returns:
        How many samples of each class each client gets; shape (clients, classes).
    """
    plan = _sinkhorn(log_weights, sizes, counts)
    columns = [largest_remainder(np.exp(plan[:, k]), int(n)) for k, n in enumerate(counts)]
    return _repair(np.stack(columns, axis=1), plan, sizes)


def balanced_quotas(log_weights: DoubleArray, sizes: IntArray, counts: IntArray) -> IntArray:
    """Return whole numbers as LoGo's code finds them, whose rows and columns add up as asked.

    Rows and columns are rescaled to equal sums, as if all classes and all clients had equal sizes;
    a client then wants that part of each class, whatever the size of the class. Where the wishes
    do not fit, clients are served one after the other, class by class, each up to its size, and in
    further passes, until everything is dealt.

    Source: ``dir_balance`` in ``util/data_simulator.py`` of the repository raymin0223/LoGo. There
    the rescaling stops at a tolerance of 0.1 %, and from alpha 10 on classes are dealt in one pass.

    Args and returns: as ``exact_quotas``.
    """
    rows, columns = log_weights.shape
    equal = np.full(rows, 1000 * columns), np.full(columns, 1000 * rows)
    part = np.exp(_sinkhorn(log_weights, *equal))
    part /= part.sum(axis=0)
    wishes = np.ceil(part * counts * (sizes / sizes.mean())[:, None]).astype(np.int64)
    wishes = np.where(wishes <= 1, 0, wishes + 1)
    quotas, left, room = np.zeros_like(wishes), counts.copy(), sizes.copy()
    while np.minimum(wishes, left)[room > 0].any():
        for client, kind in np.argwhere(wishes):
            dealt = min(wishes[client, kind], left[kind], room[client])
            quotas[client, kind] += dealt
            left[kind] -= dealt
            room[client] -= dealt
    for client in np.flatnonzero(room):
        dealt = np.diff(np.minimum(np.cumsum(left), room[client]), prepend=0)
        quotas[client] += dealt
        left -= dealt
    return quotas


def _sinkhorn(log_weights: DoubleArray, sizes: IntArray, counts: IntArray) -> DoubleArray:
    """Rescale rows and columns in turn; the columns of the result are exact, the rows nearly."""
    plan = log_weights
    log_sizes, log_counts = np.log(sizes)[:, None], np.log(counts)[None, :]
    for _ in range(_SINKHORN_STEPS):
        plan = plan + log_sizes - np.logaddexp.reduce(plan, axis=1, keepdims=True)
        plan = plan + log_counts - np.logaddexp.reduce(plan, axis=0, keepdims=True)
        if np.abs(np.exp(plan).sum(axis=1) - sizes).max() < 0.5:
            break
    return plan


def _repair(quotas: IntArray, plan: DoubleArray, sizes: IntArray) -> IntArray:
    """Move surplus to clients that lack samples, class by class, until all sizes are exact.

    Each move takes the class that the receiver is likeliest and the giver least likely to hold.
    It uses up a surplus, a deficit or a giver's class; givers never receive, so it ends.
    """
    quotas = quotas.copy()
    surplus = quotas.sum(axis=1) - sizes
    for giver in np.flatnonzero(surplus > 0):
        while surplus[giver] > 0:
            takers = np.flatnonzero(surplus < 0)
            held = np.flatnonzero(quotas[giver])
            gain = plan[np.ix_(takers, held)] - plan[giver, held]
            row, column = np.unravel_index(np.argmax(gain), gain.shape)
            taker, kind = takers[row], held[column]
            moved = min(surplus[giver], -surplus[taker], quotas[giver, kind])
            quotas[giver, kind] -= moved
            quotas[taker, kind] += moved
            surplus[giver] -= moved
            surplus[taker] += moved
    return quotas
