"""Handwritten digits that ship with scikit-learn: nothing to download, seconds to learn.

Ten classes that a handful of labels nearly solves. The split is the same in every run, whatever its
seed. Pixels are scaled to [0, 1] and not standardised.
"""

from __future__ import annotations

from fal_bench.data.base import Dataset
from fal_bench.datasets._digits import digits_dataset, read_digits, split_digits, whereabouts
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.functions import dataset


@dataset(whereabouts=whereabouts)
def load_digits(test_fraction: float = 0.2) -> Dataset:
    """Load scikit-learn's 1797 digits as 1 x 8 x 8 images of 10 classes.

    The split is stratified. Source: Alpaydin & Kaynak, "Optical Recognition of Handwritten
    Digits", UCI Machine Learning Repository, 1998 (the test part of it).

    Args:
        test_fraction: share of the digits held out for testing, from 0.01 to 0.99.

    Raises:
        InvalidSpecError: ``test_fraction`` is out of range.
    """
    if not 0.01 <= test_fraction <= 0.99:
        raise InvalidSpecError(f"test_fraction must lie from 0.01 to 0.99, not {test_fraction:g}.")
    images, labels = read_digits()
    train, test = split_digits(labels, test_fraction)
    return digits_dataset("digits", 10, images[train], labels[train], images[test], labels[test])
