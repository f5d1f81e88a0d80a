"""What CIFAR-10 and CIFAR-100 share (Krizhevsky, "Learning Multiple Layers of Features", 2009)."""

from __future__ import annotations

import tarfile
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from fal_bench.data.base import Dataset
from fal_bench.data.folders import download_folder
from fal_bench.data.prepared import CacheKey, Source, prepare
from fal_bench.data.published import PublishedFile, fetch, published_source

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10


def cifar(name: Literal["cifar10", "cifar100"], train: int | None, test: int | None) -> Dataset:
    """Load one of the two data sets; see ``load_cifar10``."""
    key = CacheKey(name, {"train": train, "test": test})
    return prepare(key, partial(_read, name, train, test)).dataset(name)


def _read(name: str, train: int | None, test: int | None, scratch: Path) -> Source:
    import torchvision.datasets

    kind = torchvision.datasets.CIFAR10 if name == "cifar10" else torchvision.datasets.CIFAR100
    folder = download_folder()
    try:
        parts = _parts(kind, folder)
    except RuntimeError:  # torchvision found batches missing or damaged
        wanted = PublishedFile(name, kind.filename, (kind.url,), kind.tgz_md5)
        with tarfile.open(fetch(wanted, folder)) as archive:
            archive.extractall(scratch, filter="data")
        parts = _parts(kind, scratch)
    images, labels = zip(*((part.data, np.array(part.targets)) for part in parts), strict=True)
    return published_source(name, images, labels, (train, test))


def _parts(kind: type[CIFAR10], root: Path) -> list[CIFAR10]:
    """Read the unpacked batches of both parts and check their checksums."""
    with warnings.catch_warnings():
        # NumPy 2.4.0 to 2.4.4 warn of pickles as old as these.
        warnings.filterwarnings("ignore", r"dtype\(\): align")
        return [kind(root, train=train) for train in (True, False)]
