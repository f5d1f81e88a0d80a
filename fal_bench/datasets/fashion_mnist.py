"""Fashion-MNIST (Xiao et al., "Fashion-MNIST: a Novel Image Dataset", 2017)."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.data.base import Dataset
from fal_bench.data.folders import data_folder_is_new, download_folder
from fal_bench.data.prepared import CacheKey, Source, prepare
from fal_bench.data.published import PublishedFile, fetch, published_source, published_whereabouts
from fal_bench.errors import DataError
from fal_bench.plugins.functions import dataset

_NAME = "fashion-mnist"

# SHA-256 of the unpacked files: packed again, as Debian does, they have other checksums. MNIST's
# and KMNIST's files have the same names.
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package ``dataset-fashion-mnist`` puts the files."""

_MOST_BYTES = 2**26
"""More than an unpacked file has."""

_TORCHVISION = Path("FashionMNIST") / "raw"


def _whereabouts() -> str:
    folder = _folder_with_files()
    return f"in {folder}" if folder else published_whereabouts(_NAME)


@dataset(whereabouts=_whereabouts)
def load_fashion_mnist(train: int | None = None, test: int | None = None) -> Dataset:
    """Load Fashion-MNIST: 70,000 grey clothes of 28 x 28 in 10 classes, 10,000 of them for testing.

    Its four ``.gz`` files are taken from the data folder, from ``FashionMNIST/raw`` in it
    (torchvision's place), or from Debian's package ``dataset-fashion-mnist``; else downloaded.

    Args:
        train: training images, in the proportions of the classes; None for all 60,000.
        test: test images, likewise; None for all 10,000.

    Raises:
        DataError: the files are not on this machine and cannot be downloaded, or one is damaged.
        InvalidSpecError: there are not as many images.
    """
    key = CacheKey(_NAME, {"train": train, "test": test})
    return prepare(key, partial(_read, train, test)).dataset(_NAME)


def _folder_with_files() -> Path | None:
    data = download_folder()
    places = [data, data / _TORCHVISION]
    if not data_folder_is_new():
        places.append(DEBIAN)
    for folder in places:
        if all((folder / f"{name}.gz").is_file() for name in FILES):
            return folder
    return None


def _read(train: int | None, test: int | None, scratch: Path) -> Source:  # noqa: ARG001
    folder = _folder_with_files() or _download()
    arrays = [_read_idx(folder / f"{name}.gz", digest) for name, digest in FILES.items()]
    images = [array[..., None] for array in arrays[::2]]
    return published_source(_NAME, images, arrays[1::2], (train, test))


def _download() -> Path:
    from torchvision.datasets import FashionMNIST

    folder = download_folder() / _TORCHVISION
    for filename, md5 in FashionMNIST.resources:
        urls = tuple(f"{mirror}{filename}" for mirror in FashionMNIST.mirrors)
        fetch(PublishedFile(_NAME, filename, urls, md5), folder)
    return folder


def _read_idx(path: Path, digest: str) -> NDArray[Any]:
    """Read an array of bytes in the IDX format of MNIST.

    The format: two zero bytes, a type (8: unsigned byte), the number of dimensions, each dimension
    as a big-endian 32-bit number, then the values, the last dimension changing fastest.
    """
    try:
        with gzip.open(path) as file:
            content = file.read(_MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"Data set {_NAME!r}: cannot read {str(path)!r} ({error}); replace it by the published "
            "file, or delete it to have it downloaded again."
        ) from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise DataError(
            f"Data set {_NAME!r}: {str(path)!r} is not the published file (MNIST's has the same "
            "name); replace it, or delete it to have it downloaded again."
        )
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
