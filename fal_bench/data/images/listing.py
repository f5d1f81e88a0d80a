"""The images of a folder: ``train/CLASS/*`` and ``test/CLASS/*``."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fal_bench.data.images.own_path import own_path, where_looked
from fal_bench.errors import DataError, InvalidSpecError

SUFFIXES = (".jpg", ".jpeg", ".png")
PARTS = ("train", "test")

_LITTER = ("thumbs.db", "desktop.ini")
"""What file managers leave in folders of images; hidden files are skipped as well."""


@dataclass(frozen=True)
class ImageFile:
    """One image.

    Attributes:
        name: path relative to the data set's folder, with ``/``.
        label: position of its class in the sorted names of the classes.
        size: bytes.
        modified: time of the last change, in nanoseconds.
    """

    name: str
    label: int
    size: int
    modified: int


@dataclass(frozen=True)
class Listing:
    """All images of a folder, by name.

    Attributes:
        folder: the folder.
        classes: names of the classes, sorted.
        train: the training images.
        test: the test images.
    """

    folder: Path
    classes: tuple[str, ...]
    train: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...]

    @property
    def fingerprint(self) -> str:
        """Changes whenever a file is added, removed, renamed or written."""
        digest = hashlib.sha256()
        for file in (*self.train, *self.test):
            digest.update(f"{file.name}\0{file.size}\0{file.modified}\n".encode())
        return digest.hexdigest()

    @staticmethod
    def labels(files: tuple[ImageFile, ...]) -> NDArray[np.int64]:
        """Return the classes of images."""
        return np.array([file.label for file in files], dtype=np.int64)

    @classmethod
    def read(cls, path: Path) -> Listing:
        """List a folder.

        Args:
            path: the folder; a relative path is one in the data folder.

        Raises:
            DataError: a folder is missing or cannot be read.
            InvalidSpecError: classes differ between the parts, are fewer than two or empty, or
                hold something else than images.
        """
        folder = own_path(path)
        if not folder.is_dir():
            raise DataError(f"There is no folder {where_looked(path)}.")
        names = {part: _class_names(folder, part) for part in PARTS}
        for one, other in (PARTS, PARTS[::-1]):
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
            for part in PARTS
        )
        return cls(folder, classes, train, test)


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


def _images(folder: Path, part: str, name: str, label: int) -> list[ImageFile]:
    images = []
    for entry in _entries(folder / part / name):
        if wrong := _complaint(entry):
            raise InvalidSpecError(f"{entry.path!r} {wrong}.")
        facts = entry.stat()
        where = f"{part}/{name}/{entry.name}"
        images.append(ImageFile(where, label, facts.st_size, facts.st_mtime_ns))
    if not images:
        raise InvalidSpecError(
            f"Class folder {str(folder / part / name)!r} is empty; add images or remove the class "
            "from train/ and test/."
        )
    return images


def _complaint(entry: os.DirEntry[str]) -> str | None:
    """Say why an entry of a class folder is no image file, and what to do."""
    if entry.is_symlink() and not os.path.exists(entry.path):
        return f"is a link to {os.readlink(entry.path)!r}, where nothing is; mend or remove it"
    if entry.is_dir():
        return "is a folder inside a class folder; move its images up, or remove it"
    if not entry.is_file():
        return "is no file; remove it"
    if not entry.name.lower().endswith(SUFFIXES):
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
