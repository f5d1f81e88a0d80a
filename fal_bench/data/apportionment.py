"""Divide whole numbers by weights, so that the parts add up exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fal_bench.arrays import DoubleArray, IntArray


def largest_remainder(weights: npt.ArrayLike, total: int) -> IntArray:
    """Divide a total in proportion to weights by Hamilton's largest-remainder method.

    Every part gets its exact quota, rounded down. What is left goes, one each, to the parts with
    the largest remainders; among equal remainders the first part comes first.

    Args:
        weights: non-negative weights, at least one of them positive; shape (parts,).
        total: the number to divide, not negative.

    Returns:
        Integers that add up to ``total``, each less than one away from its quota; shape (parts,).
    """
    shares = np.asarray(weights, dtype=np.float64)
    quotas = total * (shares / shares.sum())
    sizes: IntArray = np.floor(quotas).astype(np.int64)
    # Rounding keeps equal remainders equal: those of 0.1 * 5 and 0.7 * 5, for example.
    remainders = np.round(quotas - sizes, 9)
    raised = np.argsort(-remainders, kind="stable")[: total - int(sizes.sum())]
    sizes[raised] += 1
    return sizes


def turns(weights: DoubleArray, held: IntArray, limits: IntArray) -> IntArray:
    """Return the order in which parts are given units, one at a time, up to their limits.

    A part of weight w that has k units waits until (k + 1/2) / w; the one with the shortest wait is
    next, and among equal ones the first. However many units are given away, every part then has
    its share of them as nearly as whole numbers and limits allow, and more units never leave a part
    with fewer (Webster's method; unlike the largest remainders).

    Args:
        weights: positive weights; shape (parts,).
        held: units that the parts have already; shape (parts,).
        limits: units that the parts may have in the end; shape (parts,).

    Returns:
        The part that each unit goes to, in turn; shape (units until all limits are reached,).
    """
    more = np.maximum(limits - held, 0)
    parts = np.repeat(np.arange(len(more)), more)
    before = np.cumsum(more) - more
    count = np.arange(len(parts)) - np.repeat(before - held, more)
    order: IntArray = parts[np.argsort((count + 0.5) / weights[parts], kind="stable")]
    return order


def equal_sizes(total: int, parts: int) -> IntArray:
    """Divide a total into parts that differ by at most one; the larger ones come first."""
    return largest_remainder(np.ones(parts), total)
