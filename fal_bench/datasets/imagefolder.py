"""Anyone's own images, in one folder a class."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from fal_bench.data.base import Dataset
from fal_bench.data.images.decoding import Colour, decode, decode_all
from fal_bench.data.images.listing import Listing
from fal_bench.data.images.prepared import Label, Prepared, prepare
from fal_bench.data.images.room import check_room
from fal_bench.data.images.source import Part, Source
from fal_bench.data.images.subset import chosen_rows
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.functions import dataset

_NAME = "imagefolder"


def _digest(
    path: Path,
    size: int | None = None,
    colour: Colour = "rgb",
    train: int | None = None,
    test: int | None = None,
) -> str:
    """Return the SHA-256 of the images in use: their names, classes and content."""
    return _prepare(path, size, colour, train, test).digest


@dataset(digest=_digest, whereabouts=lambda: "your own images")
def load_imagefolder(
    path: Path,
    size: int | None = None,
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
        size: side of the square that images are brought to; None if they have one size already.
        colour: ``"rgb"`` or ``"grey"``, whatever the files are.
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
    if size is not None and size < 1:
        raise InvalidSpecError(f"Data set {_NAME!r} needs a size of at least 1, not {size}.")
    listing = Listing.read(path)
    options = {"size": size, "colour": colour, "train": train, "test": test}
    label = Label(_NAME, {"path": str(listing.folder), **options}, listing.fingerprint)
    return prepare(label, partial(_read, listing, colour, size, (train, test)))


def _read(
    listing: Listing,
    colour: Colour,
    size: int | None,
    counts: tuple[int | None, int | None],
    scratch: Path,
) -> Source:
    content = hashlib.sha256("\n".join(listing.classes).encode())
    chosen = []
    for part, files, count in zip(
        ("train", "test"), (listing.train, listing.test), counts, strict=True
    ):
        labels = listing.labels(files)
        rows = chosen_rows(_NAME, part, labels, count, shuffle=True)
        assert rows is not None
        chosen.append((part, labels, rows, [files[row].name for row in rows]))
    _check_room(listing, colour, size, [name for *_, names in chosen for name in names])
    parts = []
    used = []
    for part, labels, rows, names in chosen:
        pixels, digests = decode_all(listing.folder, names, colour, size, scratch / part)
        for name, digest in zip(names, digests, strict=True):
            content.update(f"{name}\0{digest}\n".encode())
        parts.append(Part(pixels, labels[rows], rows))
        used.append(names)
    train, test = parts
    return Source(train, test, len(listing.classes), content.hexdigest(), used[0])


def _check_room(listing: Listing, colour: Colour, size: int | None, names: list[str]) -> None:
    """Check that there is room for all images; without a size, they are all like the first."""
    if size is None:
        shape = decode(listing.folder / names[0], colour, None).pixels.shape
    else:
        shape = (size, size, 3 if colour == "rgb" else 1)
    check_room(_NAME, len(names), shape)
