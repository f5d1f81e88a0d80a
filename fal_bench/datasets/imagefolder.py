"""The user's own images: ``PATH/train/CLASS/*`` and ``PATH/test/CLASS/*``."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fal_bench.data.base import Dataset
from fal_bench.data.folders import own_path, where_looked
from fal_bench.data.images import Colour, check_room, decode, decode_all
from fal_bench.data.prepared import CacheKey, Part, Prepared, Source, prepare, stamp
from fal_bench.data.subset import chosen_rows
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.inputs.limits import Pixels
from fal_bench.plugins.functions import dataset

_NAME = "imagefolder"
_SUFFIXES = (".jpg", ".jpeg", ".png")
_PARTS = ("train", "test")

_LITTER = ("thumbs.db", "desktop.ini")
"""What file managers leave in folders of images; hidden files are skipped as well."""


def _digest(
    path: Path,
    size: Pixels | None = None,
    colour: Colour = "rgb",
    train: int | None = None,
    test: int | None = None,
) -> str:
    """Return the SHA-256 of the images in use: their names, classes and content."""
    return _prepare(path, size, colour, train, test).digest


@dataset(digest=_digest, whereabouts=lambda: "your own images")
def load_imagefolder(
    path: Path,
    size: Pixels | None = None,
    colour: Colour = "rgb",
    train: int | None = None,
    test: int | None = None,
) -> Dataset:
    """Load your own jpg and png images from ``PATH/train/CLASS/`` and ``PATH/test/CLASS/``.

    Classes are the sorted names of the class folders. Samples lie in a fixed random order. Images
    are decoded once; ``docs/datasets.md`` says how grey, transparent and odd-sized ones are
    treated.

    Args:
        path: the folder; a relative path is one in the data folder.
        size: side of the square that images are scaled to; None if they have one size already.
        colour: ``"rgb"`` or ``"grey"``, whichever the files have.
        train: training images, in the proportions of the classes; None for all.
        test: test images, likewise.

    Raises:
        DataError: a folder is missing, or a file cannot be decoded.
        InvalidSpecError: classes or sizes do not fit, or there are not as many images.
    """
    return _prepare(path, size, colour, train, test).dataset(_NAME)


def _prepare(
    path: Path, size: int | None, colour: Colour, train: int | None, test: int | None
) -> Prepared:
    listing = _list_images(path)
    options = {"size": size, "colour": colour, "train": train, "test": test}
    key = CacheKey(_NAME, {"path": str(listing.folder), **options}, listing.fingerprint)
    return prepare(key, partial(_read, listing, colour, size, (train, test)))


def _read(
    listing: _Listing,
    colour: Colour,
    size: int | None,
    counts: tuple[int | None, int | None],
    scratch: Path,
) -> Source:
    content = hashlib.sha256(_encoded("\n".join(listing.classes)))
    chosen = []
    for part, files, count in zip(_PARTS, (listing.train, listing.test), counts, strict=True):
        labels = np.array([file.label for file in files], dtype=np.int64)
        rows = chosen_rows(_NAME, part, labels, count, shuffle=True)
        assert rows is not None
        chosen.append((part, labels, rows, [files[row].name for row in rows]))
    _check_room(listing, colour, size, [name for *_, names in chosen for name in names])
    parts = []
    used = []
    for part, labels, rows, names in chosen:
        pixels, digests = decode_all(listing.folder, names, colour, size, scratch / part)
        for name, digest in zip(names, digests, strict=True):
            content.update(_encoded(f"{name}\0{digest}\n"))
        parts.append(Part(pixels, labels[rows], rows))
        used.append(names)
    train, test = parts
    return Source(train, test, len(listing.classes), content.hexdigest(), used[0])


def _check_room(listing: _Listing, colour: Colour, size: int | None, names: list[str]) -> None:
    """Check that there is room for all images; without a size, they are all like the first."""
    if size is None:
        shape = decode(listing.folder / names[0], colour, None).pixels.shape
    else:
        shape = (size, size, 3 if colour == "rgb" else 1)
    check_room(_NAME, len(names), shape)


@dataclass(frozen=True)
class _ImageFile:
    """One image.

    Attributes:
        name: path relative to the data set's folder, with ``/``.
        label: position of its class in the sorted names of the classes.
        stamp: changes whenever the file is written.
    """

    name: str
    label: int
    stamp: list[int]


@dataclass(frozen=True)
class _Listing:
    """All images of a folder, by name.

    Attributes:
        folder: the folder.
        classes: names of the classes, sorted.
        train: the training images.
        test: the test images.
    """

    folder: Path
    classes: tuple[str, ...]
    train: tuple[_ImageFile, ...]
    test: tuple[_ImageFile, ...]

    @property
    def fingerprint(self) -> str:
        """Changes whenever a file is added, removed, renamed or written."""
        digest = hashlib.sha256()
        for file in (*self.train, *self.test):
            digest.update(_encoded(f"{file.name}\0{file.stamp}\n"))
        return digest.hexdigest()


def _encoded(text: str) -> bytes:
    """Return text with names of files, which need not be UTF-8, as bytes."""
    return text.encode("utf-8", "surrogateescape")


def _list_images(path: Path) -> _Listing:
    """List a folder."""
    folder = own_path(path)
    if not folder.is_dir():
        raise DataError(f"There is no folder {where_looked(path)}.")
    names = {part: _class_names(folder, part) for part in _PARTS}
    for one, other in (_PARTS, _PARTS[::-1]):
        if missing := sorted(set(names[one]) - set(names[other])):
            raise InvalidSpecError(
                f"Class {missing[0]!r} is in {str(folder / one)!r} but not in {other}/; every "
                "class needs images in both."
            )
    classes = tuple(names["train"])
    if len(classes) < 2:
        raise InvalidSpecError(
            f"{str(folder / 'train')!r} has {len(classes)} class folder"
            f"{'' if classes else 's'}; make one folder for each of at least 2 classes."
        )
    train, test = (
        tuple(
            file
            for label, name in enumerate(classes)
            for file in _images(folder, part, name, label)
        )
        for part in _PARTS
    )
    return _Listing(folder, classes, train, test)


def _class_names(folder: Path, part: str) -> list[str]:
    if not (folder / part).is_dir():
        raise DataError(
            f"There is no folder {str(folder / part)!r}; an image folder has one folder a class in "
            "train/ and in test/."
        )
    names = []
    for entry in _entries(folder / part):
        if not os.path.isdir(entry.path):  # entry.is_dir raises where a link leads to itself
            raise InvalidSpecError(
                f"{entry.path!r} is no folder; put the images of each class into a folder named "
                "after it."
            )
        names.append(entry.name)
    return names


def _images(folder: Path, part: str, name: str, label: int) -> list[_ImageFile]:
    images = []
    for entry in _entries(folder / part / name):
        if wrong := _complaint(entry):
            raise InvalidSpecError(f"{entry.path!r} {wrong}.")
        where = f"{part}/{name}/{entry.name}"
        images.append(_ImageFile(where, label, stamp(entry.stat())))
    if not images:
        raise InvalidSpecError(
            f"Class folder {str(folder / part / name)!r} is empty; add images or remove the class "
            "from train/ and test/."
        )
    return images


def _complaint(entry: os.DirEntry[str]) -> str | None:
    """Say why an entry of a class folder is no image file, and what to do."""
    if entry.is_symlink() and not os.path.exists(entry.path):
        return f"is a broken link to {os.readlink(entry.path)!r}; repair or remove it"
    if entry.is_dir():
        return "is a folder inside a class folder; move its images up, or remove it"
    if not entry.is_file():
        return "is no file; remove it"
    if not entry.name.lower().endswith(_SUFFIXES):
        return "is no jpg or png file; convert or remove it"
    return None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds, by name, without hidden files and litter."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"Cannot read the folder {str(folder)!r} ({error.strerror}).") from None
    return [
        entry
        for entry in found
        if not entry.name.startswith(".") and entry.name.lower() not in _LITTER
    ]
