"""The user's own images: ``PATH/train/CLASS/*`` and ``PATH/test/CLASS/*``."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.data.base import Dataset
from fal_bench.data.clients import GivenClients
from fal_bench.data.folders import own_path, where_looked
from fal_bench.data.images import Colour, check_room, decode, decode_all
from fal_bench.data.prepared import CacheKey, Part, Prepared, Source, prepare, stamp
from fal_bench.data.subset import chosen_rows
from fal_bench.datasets._owners import read_owners
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.inputs.cells import twins
from fal_bench.inputs.limits import Pixels
from fal_bench.plugins.functions import dataset

_NAME = "imagefolder"
_SUFFIXES = (".jpg", ".jpeg", ".png")
_PARTS = ("train", "test")

FOLDER = "folder"
"""What to say where clients have folders of their own."""

_LITTER = ("thumbs.db", "desktop.ini")
"""What file managers leave in folders of images; hidden files are skipped as well."""


def _digest(
    path: Path,
    size: Pixels | None = None,
    colour: Colour = "rgb",
    train: int | None = None,
    test: int | None = None,
    clients: str | None = None,
) -> str:
    """Return the SHA-256 of the images in use: their names, classes, clients and content."""
    return _prepare(path, size, colour, (train, test), clients).digest


@dataset(digest=_digest, whereabouts=lambda: "your own images")
def load_imagefolder(
    path: Path,
    size: Pixels | None = None,
    colour: Colour = "rgb",
    train: int | None = None,
    test: int | None = None,
    clients: str | None = None,
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
        clients: whose the images are, for the partition ``given``: ``"folder"`` if they lie in
            ``PATH/train/CLIENT/CLASS/`` (and, if test images are to have clients too,
            ``PATH/test/CLIENT/CLASS/``), or a CSV file with the columns ``file`` and ``client``,
            in the image folder or by an absolute path; None for images without clients.

    Raises:
        DataError: a folder or file is missing, or a file cannot be decoded.
        InvalidSpecError: classes, clients or sizes do not fit, or there are not as many images.
    """
    return _prepare(path, size, colour, (train, test), clients).dataset(_NAME)


def _prepare(
    path: Path,
    size: int | None,
    colour: Colour,
    counts: tuple[int | None, int | None],
    clients: str | None,
) -> Prepared:
    listing = _list_images(path, clients)
    options = {"size": size, "colour": colour, "train": counts[0], "test": counts[1]}
    place = {"path": str(listing.folder), **options, "clients": clients}
    key = CacheKey(_NAME, place, listing.fingerprint)
    return prepare(key, partial(_read, listing, colour, size, counts))


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
            own = f"\0{listing.owners[name]}" if name in listing.owners else ""
            content.update(_encoded(f"{name}\0{digest}{own}\n"))
        parts.append(Part(pixels, labels[rows], rows))
        used.append(names)
    train, test = parts
    clients = _clients(listing, train.rows, test.rows)
    return Source(train, test, len(listing.classes), content.hexdigest(), used[0], clients)


def _clients(listing: _Listing, train: IntArray, test: IntArray) -> GivenClients | None:
    """Return the clients of chosen rows, if the images have some."""
    if not listing.owners:
        return None
    owners: list[list[str] | None] = [
        [listing.owners[file.name] for file in files if file.name in listing.owners]
        for files in (listing.train, listing.test)
    ]
    try:
        return GivenClients.named(owners[0] or [], owners[1] or None).chosen(train, test)
    except ValueError as error:
        raise InvalidSpecError(f"{str(listing.folder)!r} {error}.") from None


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
        owners: the client of each image by its name: of all training images or of none, and the
            same of test images.
    """

    folder: Path
    classes: tuple[str, ...]
    train: tuple[_ImageFile, ...]
    test: tuple[_ImageFile, ...]
    owners: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Changes whenever a file is added, removed, renamed or written, or has another client."""
        digest = hashlib.sha256()
        for file in (*self.train, *self.test):
            owner = self.owners.get(file.name, "")
            digest.update(_encoded(f"{file.name}\0{file.stamp}\0{owner}\n"))
        return digest.hexdigest()


def _encoded(text: str) -> bytes:
    """Return text with names of files, which need not be UTF-8, as bytes."""
    return text.encode("utf-8", "surrogateescape")


def _list_images(path: Path, clients: str | None) -> _Listing:
    """List a folder."""
    folder = own_path(path)
    if not folder.is_dir():
        raise DataError(f"There is no folder {where_looked(path)}.")
    places = {part: _class_folders(folder, part, clients) for part in _PARTS}
    names = {part: sorted({one.label for one in found}) for part, found in places.items()}
    if found := twins(sorted({name for own in names.values() for name in own})):
        raise InvalidSpecError(
            f"{str(folder)!r} has class folders {found[0]!r} and {found[1]!r}, whose names differ "
            "in case or blanks alone; give the folders of one class one name."
        )
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
    images = {
        part: [(place, file) for place in found for file in _images(folder, place, classes)]
        for part, found in places.items()
    }
    for part, name in itertools.product(_PARTS, classes):
        own = [place for place in places[part] if place.label == name]
        if not any(place in own for place, _ in images[part]):
            level = folder / part if own[0].client is None else folder / part / "*"
            raise InvalidSpecError(
                f"Class folder {str(level / name)!r} is empty; add images or remove the class from "
                "train/ and test/."
            )
    owners = {
        file.name: place.client
        for found in images.values()
        for place, file in found
        if place.client is not None
    }
    train, test = (tuple(file for _, file in images[part]) for part in _PARTS)
    if clients not in (None, FOLDER):
        owners = _listed_owners(folder / clients, train, test)
    return _Listing(folder, classes, train, test, owners)


def _listed_owners(
    path: Path, train: Sequence[_ImageFile], test: Sequence[_ImageFile]
) -> dict[str, str]:
    """Return the client of each image that a CSV file lists: all training images at least."""
    owners = read_owners(path)
    wanted = [*train, *(test if any(file.name in owners for file in test) else ())]
    for file in wanted:
        if file.name not in owners:
            raise InvalidSpecError(
                f"{str(path)!r} does not say whose {file.name!r} is; list every training image, "
                "and every test image or none."
            )
    known = {file.name for file in wanted}
    if strange := [name for name in owners if name not in known]:
        raise InvalidSpecError(
            f"{str(path)!r} lists {strange[0]!r}, which is no image of the folder; write paths "
            "such as train/CLASS/FILE, relative to the image folder."
        )
    return owners


@dataclass(frozen=True)
class _ClassFolder:
    """A folder with images of one class.

    Attributes:
        path: relative to the data set's folder, with ``/``.
        label: name of the class.
        client: name of the client, if its folder lies in that of one.
    """

    path: str
    label: str
    client: str | None = None


def _class_folders(folder: Path, part: str, clients: str | None) -> list[_ClassFolder]:
    """Return the class folders of a part, by the names of classes and then of clients."""
    if not (folder / part).is_dir():
        raise DataError(
            f"There is no folder {str(folder / part)!r}; an image folder has one folder a class in "
            "train/ and in test/."
        )
    names = _folders(folder / part, "the images of each class into a folder named after it")
    if clients != FOLDER or (part == "test" and not _has_folders(folder / part, names)):
        return [_ClassFolder(f"{part}/{name}", name) for name in names]
    advice = "the images of each client into train/CLIENT/CLASS"
    found = []
    for client in names:
        own = folder / part / client
        classes = _folders(own, advice)
        if not any(_entries(own / name) for name in classes):
            raise InvalidSpecError(
                f"Client folder {str(own)!r} holds no image; add some, or remove the folder."
            )
        found += [_ClassFolder(f"{part}/{client}/{name}", name, client) for name in classes]
    return sorted(found, key=lambda place: place.label)


def _has_folders(part: Path, names: Sequence[str]) -> bool:
    return any(os.path.isdir(entry.path) for name in names for entry in _entries(part / name))


def _folders(folder: Path, advice: str) -> list[str]:
    """Return the names of the folders in a folder, which holds nothing else."""
    for entry in _entries(folder):
        if not os.path.isdir(entry.path):  # entry.is_dir raises where a link leads to itself
            raise InvalidSpecError(f"{entry.path!r} is no folder; put {advice}.")
    return [entry.name for entry in _entries(folder)]


def _images(folder: Path, place: _ClassFolder, classes: Sequence[str]) -> list[_ImageFile]:
    images = []
    for entry in _entries(folder / place.path):
        if wrong := _complaint(entry):
            raise InvalidSpecError(f"{entry.path!r} {wrong}.")
        name = f"{place.path}/{entry.name}"
        images.append(_ImageFile(name, classes.index(place.label), stamp(entry.stat())))
    return images


def _complaint(entry: os.DirEntry[str]) -> str | None:
    """Say why an entry of a class folder is no image file, and what to do."""
    if entry.is_symlink() and not os.path.exists(entry.path):
        return f"is a broken link to {os.readlink(entry.path)!r}; repair or remove it"
    if entry.is_dir():
        return (
            "is a folder inside a class folder; move its images up, or remove it, or say "
            "clients=folder if the folders above are those of clients"
        )
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
