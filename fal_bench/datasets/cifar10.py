"""CIFAR-10 (Krizhevsky, "Learning Multiple Layers of Features", 2009)."""

from __future__ import annotations

from functools import partial

from fal_bench.data.base import Dataset
from fal_bench.data.published import published_whereabouts
from fal_bench.datasets._cifar import cifar
from fal_bench.plugins.functions import dataset


@dataset(
    whereabouts=partial(
        published_whereabouts, "cifar10", "cifar-10-python.tar.gz", "cifar-10-batches-py"
    )
)
def load_cifar10(train: int | None = None, test: int | None = None) -> Dataset:
    """Load CIFAR-10: 60,000 colour photos of 32 x 32 in 10 classes, 10,000 of them for testing.

    Args:
        train: training images, in the proportions of the classes; None for all 50,000.
        test: test images, likewise; None for all 10,000.

    Raises:
        DataError: the files are neither in the data folder nor can they be downloaded.
        InvalidSpecError: there are not as many images.
    """
    return cifar("cifar10", train, test)
