"""Reading the ``.npz`` files of ``npz`` and ``medmnist``."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import IntArray
from fal_bench.data.clients import GivenClients
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
from fal_bench.inputs.archives import Archive, TooLargeError
from fal_bench.isolation.memory import free_bytes

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
"""Names of the arrays in a file, which are those of MedMNIST."""

CLIENT_ARRAYS = ("train_clients", "test_clients")
"""Arrays that a file may have beside them, the second only beside the first; others are
ignored."""

VOTES: Final = "train_votes"
"""A further one: what single raters said."""

MOST_CHANNELS = 4
"""Usual in images; an axis with more is probably none of channels."""

Channels = Literal["first", "last"]
"""Where the axis of channels is: (n, channels, height, width), or (n, height, width, channels)."""

_COPIES = 2
"""Copies of the arrays that are there while they are read: as they were, and in another order."""

_GB = 1e9


def prepare_npz(
    name: str, path: Path, train: int | None, test: int | None, channels: Channels | None = None
) -> Prepared:
    """Prepare the data set of an ``.npz`` file.

    Args:
        name: name of the data set, for messages.
        path: the file.
        train: training samples.
        test: test samples.
        channels: where the axis of channels is; None if its length tells.

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
    if not stat.S_ISREG(facts.st_mode):
        raise DataError(f"Data set {name!r}: {where_looked(path)} is no file.")
    place = {"path": str(full), "train": train, "test": test, "channels": channels}
    key = CacheKey(name, place, stamp(facts))
    return prepare(key, partial(_read, name, full, (train, test), channels))


def _read(
    name: str,
    path: Path,
    counts: tuple[int | None, int | None],
    channels: Channels | None,
    scratch: Path,  # noqa: ARG001
) -> Source:
    arrays = _arrays(path)
    parts = []
    for part, count in zip(("train", "test"), counts, strict=True):
        labels = _labels(path, f"{part}_labels", arrays)
        images = _images(path, f"{part}_images", arrays, channels)
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
    clients = _clients(path, arrays, train.rows, test.rows)
    votes = _votes(path, arrays, train, len(classes))
    return Source(
        train, test, len(classes), file_checksum(path), clients=clients, train_votes=votes
    )


def _votes(
    path: Path, arrays: dict[str, NDArray[Any]], train: Part, n_classes: int
) -> IntArray | None:
    """Return what raters said of chosen rows, if a file has it."""
    if VOTES not in arrays:
        return None
    votes, samples = arrays[VOTES], len(arrays["train_labels"])
    if votes.ndim != 2 or len(votes) != samples or votes.dtype.kind not in "iu":
        _refuse(
            path,
            f"has {VOTES} of shape {votes.shape} and type {votes.dtype}; use integers of shape "
            f"({samples}, votes), -1 where there is none",
        )
    chosen = votes[train.rows]
    unheard = np.flatnonzero(~(chosen >= 0).any(axis=1))
    if len(unheard):
        row = train.rows[unheard[0]]
        _refuse(path, f"has no vote of sample {row} in {VOTES}; give it one")
    for extreme in (chosen.min(), chosen.max()):
        if not -1 <= extreme < n_classes:
            _refuse(path, f"has the class {extreme} in {VOTES}; use 0 to {n_classes - 1}, or -1")
    return chosen.astype(np.int64)


def _clients(
    path: Path, arrays: dict[str, NDArray[Any]], train: IntArray, test: IntArray
) -> GivenClients | None:
    """Return the clients of chosen rows, if a file names them."""
    for name in CLIENT_ARRAYS:
        labels = name.replace("clients", "labels")
        if name in arrays and arrays[name].shape[:1] != arrays[labels].shape[:1]:
            _refuse(
                path,
                f"has {name} of shape {arrays[name].shape} for {len(arrays[labels])} samples; "
                "name one client a sample",
            )
    if "train_clients" not in arrays:
        if "test_clients" in arrays:
            _refuse(path, "has test_clients but no train_clients; add them, or leave both out")
        return None
    try:
        given = GivenClients.named(arrays["train_clients"], arrays.get("test_clients"))
        return given.chosen(train, test)
    except ValueError as error:
        _refuse(path, str(error))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            archive = Archive(file)
            if missing := [name for name in ARRAYS if name not in archive.names]:
                found = ", ".join(archive.names) or "nothing"
                _refuse(path, f"lacks the array {missing[0]!r}; it has: {found}")
            optional = [name for name in (*CLIENT_ARRAYS, VOTES) if name in archive.names]
            return archive.read([*ARRAYS, *optional], free_bytes() // _COPIES)
    except TooLargeError as error:
        _refuse(
            path,
            f"takes {_COPIES * error.nbytes / _GB:.1f} GB of memory to read, and "
            f"{free_bytes() / _GB:.1f} GB are free; write fewer samples into it",
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"Cannot read {str(path)!r} as a NumPy .npz file ({error}); write it by numpy.savez, "
            "without objects."
        ) from None


def _labels(path: Path, name: str, arrays: dict[str, NDArray[Any]]) -> IntArray:
    labels = arrays[name]
    if labels.ndim == 2 and labels.shape[1] > 1:
        _refuse(path, f"has {labels.shape[1]} labels a sample in {name}; give one")
    if labels.ndim not in (1, 2) or labels.dtype.kind not in "iu":
        _refuse(
            path,
            f"has {name} of shape {labels.shape} and type {labels.dtype}; use integers of shape "
            "(samples,)",
        )
    for extreme in (labels.min(), labels.max()) if labels.size else ():
        if not 0 <= extreme <= np.iinfo(np.int64).max:
            _refuse(path, f"has the class {extreme} in {name}; count classes from 0")
    return labels.reshape(-1).astype(np.int64)


def _images(
    path: Path, name: str, arrays: dict[str, NDArray[Any]], channels: Channels | None
) -> NDArray[Any]:
    """Return pixels (n, H, W, C) as bytes, or features (n, C, H, W) as float32."""
    images = arrays[name]
    shape, kind = images.shape, images.dtype
    floats = kind.kind == "f"
    if not (floats or kind == np.uint8):
        _refuse(path, f"has {name} of type {kind}; use uint8 for pixels or float32 for features")
    if images.size == 0 or len(shape) not in ((2, 3, 4) if floats else (3, 4)):
        _refuse(
            path,
            f"has {name} of shape {shape}; use (samples, height, width) or (samples, height, "
            "width, channels), or for floating-point features also (samples, features)",
        )
    if len(shape) == 2:
        images = images[:, None, None]
    elif len(shape) == 3:
        images = images[..., None]
    elif _first(path, name, shape, channels):
        images = images.transpose(0, 2, 3, 1)
    if not floats:
        return images
    _check_range(path, name, images)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)


def _first(path: Path, name: str, shape: tuple[int, ...], channels: Channels | None) -> bool:
    """Whether the channels of images of four axes come first; the last axis is the usual one.

    That is sure only if the last axis has a usual number of channels and the first one has not:
    PyTorch's (n, 3, 32, 32) could be images of 3 x 32 pixels with 32 channels.
    """
    if channels is None and not shape[3] <= MOST_CHANNELS < shape[1]:
        _refuse(
            path,
            f"has {name} of shape {shape}, whose channels may be the second axis or the last one; "
            "say which by channels=first or channels=last",
        )
    return channels == "first"


def _check_range(path: Path, name: str, features: NDArray[Any]) -> None:
    """Check that float32 has room for features."""
    extremes = np.array([features.min(), features.max()])
    if not np.isfinite(extremes).all():
        _refuse(path, f"has NaN or infinite values in {name}; remove them")
    if np.abs(extremes).max() > np.finfo(np.float32).max:
        _refuse(path, f"has values in {name} that are too large for float32; scale them")


def _listed(classes: IntArray) -> str:
    shown = ", ".join(map(str, classes[:10]))
    return shown + (", ..." if len(classes) > 10 else "")


def _refuse(path: Path, complaint: str) -> NoReturn:
    raise InvalidSpecError(f"{str(path)!r} {complaint}.")
