"""Whole numbers from fractions, without losing or inventing a sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fal_bench.arrays import IntArray


def largest_remainder(weights: npt.ArrayLike, total: int) -> IntArray:
    """Divide a total in proportion to weights by Hamilton's largest-remainder method.

    Every part gets the whole part of its exact quota; what is left goes, one each, to the parts
    with the largest remainders. Equal remainders are served in order.

    Args:
        weights: non-negative weights, at least one of them positive; shape (parts,).
        total: the number to divide, not negative.

    Returns:
        Integers that add up to ``total``, each less than one away from its quota; shape (parts,).
    """
    shares = np.asarray(weights, dtype=np.float64)
    quotas = total * (shares / shares.sum())
    sizes: IntArray = np.floor(quotas).astype(np.int64)
    # Rounding keeps ties ties: 0.1 * 5 and 0.7 * 5 must have the same remainder.
    remainders = np.round(quotas - sizes, 9)
    served = np.argsort(-remainders, kind="stable")[: total - int(sizes.sum())]
    sizes[served] += 1
    return sizes


def equal_sizes(total: int, parts: int) -> IntArray:
    """Divide a total in parts that differ by at most one, the larger ones first."""
    return largest_remainder(np.ones(parts), total)
