"""Reading the ``.npz`` files of ``npz`` and ``medmnist``."""

from __future__ import annotations

import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import IntArray
from fal_bench.data.folders import own_path, where_looked
from fal_bench.data.prepared import (
    CacheKey,
    Part,
    Prepared,
    Source,
    file_checksum,
    prepare,
    stamp,
)
from fal_bench.data.subset import chosen_rows
from fal_bench.errors import DataError, InvalidSpecError

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
"""Names of the arrays in a file, which are those of MedMNIST; others are ignored."""

MOST_CHANNELS = 4
"""In images of bytes; with more, channels probably come first."""


def prepare_npz(name: str, path: Path, train: int | None, test: int | None) -> Prepared:
    """Prepare the data set of an ``.npz`` file.

    Args:
        name: name of the data set, for messages.
        path: the file.
        train: training samples.
        test: test samples.

    Raises:
        DataError: the file is missing or damaged.
        InvalidSpecError: an array is missing or cannot be used.
    """
    full = own_path(path)
    try:
        facts = full.stat()
    except OSError as error:
        raise DataError(
            f"Data set {name!r}: cannot read {where_looked(path)}: {error.strerror}."
        ) from None
    place = {"path": str(full), "train": train, "test": test}
    return prepare(CacheKey(name, place, stamp(facts)), partial(_read, name, full, (train, test)))


def _read(
    name: str,
    path: Path,
    counts: tuple[int | None, int | None],
    scratch: Path,  # noqa: ARG001
) -> Source:
    arrays = _arrays(path)
    parts = []
    for part, count in zip(("train", "test"), counts, strict=True):
        labels = _labels(path, f"{part}_labels", arrays)
        images = _images(path, f"{part}_images", arrays)
        if len(images) != len(labels):
            _refuse(path, f"has {len(images)} {part}_images but {len(labels)} {part}_labels")
        rows = chosen_rows(name, part, labels, count, shuffle=True)
        parts.append(Part.of(images, labels, rows))
    train, test = parts
    classes = np.unique(train.labels)
    if len(classes) < 2 or classes[-1] != len(classes) - 1:
        _refuse(
            path,
            f"has the classes {_listed(classes)} in train_labels; use 0, 1, ... without a gap, at "
            "least two of them",
        )
    if unknown := set(test.labels.tolist()) - set(classes.tolist()):
        _refuse(path, f"has class {min(unknown)} in test_labels but not in train_labels")
    if train.images.shape[1:] != test.images.shape[1:] or train.images.dtype != test.images.dtype:
        _refuse(path, "has training and test images of different shapes or types")
    return Source(train, test, len(classes), file_checksum(path))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array without a name")
            if missing := [name for name in ARRAYS if name not in archive.files]:
                found = ", ".join(archive.files) or "nothing"
                _refuse(path, f"lacks the array {missing[0]!r}; it has: {found}")
            return {name: archive[name] for name in ARRAYS}
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(
            f"Cannot read {str(path)!r} as a NumPy .npz file ({error}); write it by numpy.savez, "
            "without objects."
        ) from None


def _labels(path: Path, name: str, arrays: dict[str, NDArray[Any]]) -> IntArray:
    labels = arrays[name]
    if labels.ndim == 2 and labels.shape[1] > 1:
        _refuse(path, f"has {labels.shape[1]} labels a sample in {name}; give one")
    if labels.ndim not in (1, 2) or not np.issubdtype(labels.dtype, np.integer):
        _refuse(
            path,
            f"has {name} of shape {labels.shape} and type {labels.dtype}; use integers of shape "
            "(samples,)",
        )
    flat = labels.reshape(-1).astype(np.int64)
    if len(flat) and flat.min() < 0:
        _refuse(path, f"has the class {flat.min()} in {name}; use 0, 1, ...")
    return flat


def _images(path: Path, name: str, arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Return pixels (n, H, W, C) as bytes, or features (n, C, H, W) as float32."""
    images = arrays[name]
    shape, kind = images.shape, images.dtype
    floats = np.issubdtype(kind, np.floating)
    if not (floats or kind == np.uint8):
        _refuse(path, f"has {name} of type {kind}; use uint8 for pixels or float32 for features")
    if images.size == 0 or len(shape) not in ((2, 3, 4) if floats else (3, 4)):
        _refuse(
            path,
            f"has {name} of shape {shape}; use (samples, height, width) or (samples, height, "
            "width, channels), or for floating-point features also (samples, features)",
        )
    if not floats and len(shape) == 4 and shape[3] > MOST_CHANNELS:
        _refuse(path, f"has {name} of shape {shape}, with {shape[3]} channels; put channels last")
    if not floats:
        return images[..., None] if len(shape) == 3 else images
    features = images.astype(np.float32)
    if len(shape) == 2:
        return features[:, :, None, None]
    if len(shape) == 3:
        return features[:, None]
    return np.ascontiguousarray(features.transpose(0, 3, 1, 2))


def _listed(classes: IntArray) -> str:
    shown = ", ".join(map(str, classes[:10]))
    return shown + (", ..." if len(classes) > 10 else "")


def _refuse(path: Path, complaint: str) -> NoReturn:
    raise InvalidSpecError(f"{str(path)!r} {complaint}.")
