"""SVHN (Netzer et al., "Reading Digits in Natural Images", NIPS workshop 2011)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from fal_bench.data.base import Dataset
from fal_bench.data.folders import download_folder
from fal_bench.data.prepared import CacheKey, Source, prepare
from fal_bench.data.published import PublishedFile, fetch, published_source, published_whereabouts
from fal_bench.plugins.functions import dataset

_NAME = "svhn"


@dataset(whereabouts=partial(published_whereabouts, _NAME, "train_32x32.mat"))
def load_svhn(train: int | None = None, test: int | None = None) -> Dataset:
    """Load SVHN: 99,289 colour house-number digits of 32 x 32 in 10 classes, 26,032 for testing.

    The additional, easier training images are left out.

    Args:
        train: training images, in the proportions of the classes; None for all 73,257.
        test: test images, likewise; None for all 26,032.

    Raises:
        DataError: the files are neither in the data folder nor can they be downloaded.
        InvalidSpecError: there are not as many images.
    """
    key = CacheKey(_NAME, {"train": train, "test": test})
    return prepare(key, partial(_read, train, test)).dataset(_NAME)


def _read(train: int | None, test: int | None, scratch: Path) -> Source:  # noqa: ARG001
    from torchvision.datasets import SVHN

    folder = download_folder()
    for part in ("train", "test"):
        url, filename, md5 = SVHN.split_list[part]
        fetch(PublishedFile(_NAME, filename, (url,), md5), folder)
    parts = [SVHN(folder, split=part) for part in ("train", "test")]
    images = [np.ascontiguousarray(part.data.transpose(0, 2, 3, 1)) for part in parts]
    return published_source(_NAME, images, [part.labels for part in parts], (train, test))
