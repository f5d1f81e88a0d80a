"""The balanced Dirichlet partition: unequal class proportions, equal client sizes.

Class proportions of each client follow a Dirichlet law (Hsu et al., "Measuring the Effects of
Non-Identical Data Distribution for Federated Visual Classification", 2019). The matrix is then
rescaled to equal client sizes and the true class counts by Sinkhorn's algorithm (Sinkhorn &
Knopp, 1967; it finds the nearest such matrix in Kullback-Leibler divergence), rounded to whole
samples, and repaired until rows and columns add up exactly.

Everything up to the rounding is in logarithms: at alpha 0.001 most Dirichlet draws lie below the
smallest positive float, and a matrix of zeros could not be rescaled.
"""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import DoubleArray, IntArray
from fal_bench.data.apportionment import equal_sizes, largest_remainder
from fal_bench.errors import InvalidSpecError

# Clients already hold as few classes as equal sizes allow; below, Sinkhorn's algorithm stalls.
SMALLEST_ALPHA = 1e-3
_SINKHORN_STEPS = 1000


def dirichlet_partition(
    labels: IntArray, alpha: float, clients: int, rng: np.random.Generator
) -> list[IntArray]:
    """Spread samples so that class proportions per client are Dirichlet and sizes are equal.

    Args:
        labels: the class of each sample; shape (samples,).
        alpha: concentration of the symmetric Dirichlet law, at least ``SMALLEST_ALPHA``.
        clients: how many clients there are, at most ``samples``.
        rng: the stream that the partition is drawn from.

    Returns:
        For each client the positions of its samples. Sizes differ by at most one.

    Raises:
        InvalidSpecError: ``alpha`` is below ``SMALLEST_ALPHA``.
    """
    if alpha < SMALLEST_ALPHA:
        raise InvalidSpecError(
            f"The Dirichlet partition cannot use alpha {alpha:g}; use at least {SMALLEST_ALPHA:g}."
        )
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    log_weights = log_dirichlet(alpha, clients, len(counts), rng)
    quotas = exact_quotas(log_weights, equal_sizes(len(labels), clients), counts)
    dealt: list[list[IntArray]] = [[] for _ in range(clients)]
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
