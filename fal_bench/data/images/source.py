"""A data set as it was read from its files, before it is normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import IntArray


@dataclass(frozen=True, eq=False)
class Part:
    """The training or the test part.

    Attributes:
        images: pixels, uint8 of shape (n, H, W, C); or features that are left as they are,
            float32 of shape (n, C, H, W).
        labels: classes; shape (n,).
        rows: which row of the source each sample is; shape (n,).
    """

    images: NDArray[Any]
    labels: IntArray
    rows: IntArray

    @classmethod
    def of(cls, images: NDArray[Any], labels: NDArray[Any], rows: IntArray | None = None) -> Part:
        """Return chosen rows of a source, in the given order; all of them if None."""
        labels = labels.astype(np.int64)
        if rows is None:
            return cls(images, labels, np.arange(len(labels)))
        return cls(images[rows], labels[rows], rows)


@dataclass(frozen=True, eq=False)
class Source:
    """What was read.

    Attributes:
        train: the training part.
        test: the test part.
        n_classes: number of classes.
        digest: SHA-256 of the content, for data that their name does not identify.
        train_files: the file of each training sample, relative to the data set's folder, where
            every sample has its own.
    """

    train: Part
    test: Part
    n_classes: int
    digest: str = ""
    train_files: Sequence[str] = ()
