"""CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning Multiple Layers of Features", 2009)."""

from __future__ import annotations

import tarfile
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fal_bench.data.base import Dataset
from fal_bench.data.folders import download_folder
from fal_bench.data.images.download import PublishedFile, fetch
from fal_bench.data.images.prepared import Label, prepare
from fal_bench.data.images.published import published_source, published_whereabouts
from fal_bench.data.images.source import Source
from fal_bench.data.provenance import comes_from

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10


@comes_from(
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
    return _load("cifar10", train, test)


@comes_from(
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
    return _load("cifar100", train, test)


def _load(name: str, train: int | None, test: int | None) -> Dataset:
    label = Label(name, {"train": train, "test": test})
    return prepare(label, partial(_read, name, train, test)).dataset(name)


def _read(name: str, train: int | None, test: int | None, scratch: Path) -> Source:
    import torchvision.datasets

    kind = torchvision.datasets.CIFAR10 if name == "cifar10" else torchvision.datasets.CIFAR100
    folder = download_folder()
    try:
        parts = _parts(kind, folder)
    except RuntimeError:  # torchvision's word for batches that are missing or damaged
        wanted = PublishedFile(name, kind.filename, (kind.url,), kind.tgz_md5)
        with tarfile.open(fetch(wanted, folder)) as archive:
            archive.extractall(scratch, filter="data")
        parts = _parts(kind, scratch)
    images, labels = zip(*((part.data, np.array(part.targets)) for part in parts), strict=True)
    return published_source(name, images, labels, (train, test))


def _parts(kind: type[CIFAR10], root: Path) -> list[CIFAR10]:
    """Read the unpacked batches of both parts, checksums included."""
    with warnings.catch_warnings():
        # NumPy 2.4.0 to 2.4.4 complain of pickles as old as these.
        warnings.filterwarnings("ignore", r"dtype\(\): align")
        return [kind(root, train=train) for train in (True, False)]
