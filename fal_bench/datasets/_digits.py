"""scikit-learn's handwritten digits, which ``digits`` and ``digit-pairs`` are made of."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.data.apportionment import largest_remainder
from fal_bench.data.base import Dataset

# Fixed for good: another value would be another data set under the same name.
_SPLIT_SEED = 1797


def whereabouts() -> str:
    """Say where the data are."""
    return "in scikit-learn"


def read_digits() -> tuple[FloatArray, IntArray]:
    """Return all digits, pixels from 0 to 1, shape (1797, 1, 8, 8), and their classes."""
    # scikit-learn's own reader imports 1,200 modules, a second in every worker.
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    table = np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    images = (table[:, :-1].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    return images, table[:, -1].astype(np.int64)


def split_digits(labels: IntArray, test_fraction: float) -> tuple[IntArray, IntArray]:
    """Return stratified training and test positions, each in random order."""
    rng = np.random.default_rng(_SPLIT_SEED)
    order = rng.permutation(len(labels))
    sizes = largest_remainder(np.bincount(labels), round(test_fraction * len(labels)))
    held_out = np.zeros(len(labels), dtype=bool)
    for digit, size in enumerate(sizes):
        held_out[order[labels[order] == digit][:size]] = True
    return order[~held_out[order]], order[held_out[order]]


def digits_dataset(name: str, n_classes: int, *parts: npt.NDArray[np.generic]) -> Dataset:
    """Build the data set from (training images, labels, test images, labels)."""
    import torch

    train_features, train_labels, test_features, test_labels = map(torch.from_numpy, parts)
    return Dataset(name, train_features, train_labels, test_features, test_labels, n_classes)
