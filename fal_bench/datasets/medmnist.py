"""MedMNIST's 2-D data sets (Yang et al., "MedMNIST v2", Scientific Data 10:41, 2023)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from fal_bench.data.base import Dataset
from fal_bench.data.folders import data_folder_is_new, download_folder
from fal_bench.data.prepared import Prepared
from fal_bench.data.published import PublishedFile, fetch
from fal_bench.datasets._npz import prepare_npz
from fal_bench.errors import DataError
from fal_bench.plugins.functions import dataset

_NAME = "medmnist"

SetName = Literal[
    "bloodmnist",
    "breastmnist",
    "dermamnist",
    "octmnist",
    "organamnist",
    "organcmnist",
    "organsmnist",
    "pathmnist",
    "pneumoniamnist",
    "retinamnist",
    "tissuemnist",
]
"""The 2-D sets with one label a sample; ChestMNIST has several."""

Side = Literal[28, 64, 128, 224]


def _digest(
    name: SetName, size: Side = 28, train: int | None = None, test: int | None = None
) -> str:
    """Return the SHA-256 of the set's file."""
    return _prepare(name, size, train, test).digest


def _whereabouts() -> str:
    names = sorted(path.name for folder in _folders() for path in folder.glob("*mnist*.npz"))
    if names:
        return f"here: {', '.join(names)}"
    if find_spec("medmnist"):
        return f"not here; the first use downloads a set to {_folders()[0]}"
    return f"not here; pip install 'falbench[medmnist]', or put files into {_folders()[0]}"


@dataset(digest=_digest, whereabouts=_whereabouts)
def load_medmnist(
    name: SetName, size: Side = 28, train: int | None = None, test: int | None = None
) -> Dataset:
    """Load one of MedMNIST's 2-D sets of medical images, for example ``name=pathmnist``.

    Its file (``pathmnist.npz``, or ``pathmnist_64.npz`` for another size) is taken from the data
    folder, from ``medmnist`` in it, or from MedMNIST's own folder ``~/.medmnist``; else it is
    downloaded if the package ``medmnist`` is installed. The validation part is left out. Samples
    lie in a fixed random order.

    Args:
        name: the set, in lower case.
        size: height and width of the images.
        train: training images, in the proportions of the classes; None for all.
        test: test images, likewise.

    Raises:
        DataError: the file is not on this machine and cannot be downloaded, or it is damaged.
        InvalidSpecError: there are not as many images.
    """
    return _prepare(name, size, train, test).dataset(name)


def _prepare(name: SetName, size: Side, train: int | None, test: int | None) -> Prepared:
    return prepare_npz(_NAME, _file(name, size), train, test)


def _folders() -> list[Path]:
    data = download_folder()
    folders = [data / "medmnist", data]
    return folders if data_folder_is_new() else [*folders, Path.home() / ".medmnist"]


def _file(name: str, size: int) -> Path:
    """Return the path of a set's file; it is downloaded if need be."""
    suffix = "" if size == 28 else f"_{size}"
    filename = f"{name}{suffix}.npz"
    for folder in _folders():
        if (folder / filename).is_file():
            return folder / filename
    home = _folders()[0]
    if find_spec("medmnist") is None:
        raise DataError(
            f"Data set {_NAME!r}: {filename!r} is not on this machine; put it into the folder "
            f"{str(home)!r}, or run pip install 'falbench[medmnist]' to have it downloaded."
        )
    from medmnist.info import INFO

    facts = INFO[name]
    return fetch(
        PublishedFile(_NAME, filename, (facts[f"url{suffix}"],), facts[f"MD5{suffix}"]), home
    )
