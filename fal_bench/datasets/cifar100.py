"""CIFAR-100 (Krizhevsky, "Learning Multiple Layers of Features", 2009)."""

from __future__ import annotations

from functools import partial

from fal_bench.data.base import Dataset
from fal_bench.data.published import published_whereabouts
from fal_bench.datasets._cifar import cifar
from fal_bench.plugins.functions import dataset


@dataset(
    whereabouts=partial(
        published_whereabouts, "cifar100", "cifar-100-python.tar.gz", "cifar-100-python"
    )
)
def load_cifar100(train: int | None = None, test: int | None = None) -> Dataset:
    """Load CIFAR-100: 60,000 colour photos of 32 x 32 in 100 classes, 10,000 of them for testing.

    Args:
        train: training images, in the proportions of the classes; None for all 50,000.
        test: test images, likewise; None for all 10,000.

    Raises:
        DataError: the files are neither in the data folder nor can they be downloaded.
        InvalidSpecError: there are not as many images.
    """
    return cifar("cifar100", train, test)
