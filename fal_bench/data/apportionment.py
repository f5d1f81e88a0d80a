"""Divide whole numbers by weights, so that the parts add up exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fal_bench.arrays import IntArray


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


def equal_sizes(total: int, parts: int) -> IntArray:
    """Divide a total into parts that differ by at most one; the larger ones come first."""
    return largest_remainder(np.ones(parts), total)
