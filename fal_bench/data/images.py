"""Images: whether there is room for them, how files are decoded, how pixels become features.

Pixels are standardised channel by channel: each channel has mean 0 and standard deviation 1 over
all pixels of the training images in use; test images get the same map. Pixels are bytes, so both
figures follow from whole numbers and are the same on every machine.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import FloatArray
from fal_bench.data.base import Normalisation
from fal_bench.data.folders import CACHE_VARIABLE, current_folders
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.inputs.files import UnreadableFileError, read_bytes
from fal_bench.inputs.limits import MOST_IMAGE_BYTES
from fal_bench.isolation.memory import free_bytes

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

Colour = Literal["rgb", "grey"]
Step = TypeVar("Step")

DECODED_AT_ONCE = 64
"""Images that are decoded before they are written; bounds the memory."""
DECODED_BYTES_AT_ONCE = 2**28
"""Most bytes that they take, if the size is known and one image does not take more."""

CONVERTED_AT_ONCE = 1024
"""Images that are standardised at once."""
CONVERTED_BYTES_AT_ONCE = 2**26
"""Most bytes of pixels that they have, if one image does not have more."""

_FORMATS = ("JPEG", "PNG")

_LEVELS = 256

_PIXEL, _FEATURE = 1, 4
"""Bytes of a value, decoded and ready to use; on disk both are there for a while."""
_GB = 1e9


@dataclass(frozen=True)
class Decoded:
    """One decoded image.

    Attributes:
        pixels: shape (H, W, C).
        digest: SHA-256 of the file.
    """

    pixels: NDArray[np.uint8]
    digest: str


def check_room(name: str, count: int, shape: tuple[int, ...]) -> None:
    """Check, before images are decoded, that the cache folder and the memory have room for them.

    Args:
        name: the data set's name.
        count: number of images.
        shape: height, width and channels of each.

    Raises:
        InvalidSpecError: they take more than is free.
    """
    values = count * prod(shape)
    folder = current_folders().cache
    on_disk = f"on the disk of the cache folder {str(folder)!r}"
    other_disk = f", or name another cache folder by {CACHE_VARIABLE}"
    for what, size, free, more in (
        (on_disk, _PIXEL + _FEATURE, _free_disk(folder), other_disk),
        ("in memory", _FEATURE, free_bytes(), ""),
    ):
        if values * size > free:
            height, width, _ = shape
            raise InvalidSpecError(
                f"Data set {name!r}: {count} images of {width}x{height} take "
                f"{values * size / _GB:.1f} GB, but {free / _GB:.1f} GB are free {what}; choose a "
                f"smaller size, or fewer images by train and test{more}."
            )


def _free_disk(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def decode_all(
    folder: Path,
    names: Sequence[str],
    colour: Colour,
    size: int | None,
    target: Path,
) -> tuple[NDArray[np.uint8], list[str]]:
    """Decode images on all cores into a file, which is then mapped.

    Args:
        folder: what the names are relative to.
        names: the image files.
        colour: ``"rgb"`` or ``"grey"``.
        size: side of the square that images are scaled to; None if they have one size already.
        target: the file to write.

    Returns:
        The pixels, shape (n, H, W, C), and the SHA-256 of each file.

    Raises:
        DataError: a file cannot be decoded; it is named.
        InvalidSpecError: sizes differ and ``size`` is None, or a file has more than 8 bits a
            channel.
    """
    shape: tuple[int, ...] | None = None
    digests = []
    with target.open("wb") as file:
        for name, image in _decoded(folder, names, colour, size):
            shape = shape or image.pixels.shape
            if image.pixels.shape != shape:
                raise InvalidSpecError(
                    f"{str(folder / name)!r} has {_extent(image.pixels.shape)} pixels, but "
                    f"{names[0]!r} has {_extent(shape)}; bring all images to one size with the "
                    "parameter size, as in size=64."
                )
            file.write(image.pixels.data)
            digests.append(image.digest)
    assert shape is not None
    return np.memmap(target, np.uint8, "r", shape=(len(names), *shape)), digests


def decode(path: Path, colour: Colour, size: int | None) -> Decoded:
    """Decode one image; see ``decode_all``.

    The image is turned upright as its EXIF data say. Transparent pixels are laid over white. Grey
    images become colour images of three equal channels, colour images become grey by ITU-R 601. Of
    several frames the first one is taken.
    With ``size`` the largest centred square is cut out and scaled to that side (Lanczos).
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    content = _read(path)
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
            if _is_deep(opened):
                raise InvalidSpecError(
                    f"{str(path)!r} has more than 8 bits a channel; convert it to 8 bits."
                )
            image = _opaque(ImageOps.exif_transpose(opened))
        image = image.convert("RGB" if colour == "rgb" else "L")
    except UnidentifiedImageError:
        raise DataError(
            f"Cannot decode the image {str(path)!r} (its content is no JPEG or PNG image); replace "
            "or remove it."
        ) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"Cannot decode the image {str(path)!r} ({error}); replace or remove it."
        ) from None
    if size is not None:
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return Decoded(np.ascontiguousarray(pixels), hashlib.sha256(content).hexdigest())


def _read(path: Path) -> bytes:
    try:
        content = read_bytes(path, most=MOST_IMAGE_BYTES, links=True)
    except UnreadableFileError as error:
        raise DataError(
            f"Cannot read the image {str(path)!r} ({error.cause}); replace or remove it."
        ) from None
    if not content:
        raise DataError(
            f"Cannot decode the image {str(path)!r} (the file is empty); replace or remove it."
        )
    return content


def _is_deep(image: ImageFile) -> bool:
    """Whether the file has 16 bits a channel.

    Pillow opens such images in modes of 8 bits and drops the others; what it is going to decode
    says how many there are: ``"RGB;16B"``. It refuses JPEG files of 12 bits itself.
    """
    return any("16" in str(tile[3]) for tile in image.tile)


def _opaque(image: Image.Image) -> Image.Image:
    """Lay an image over white if it is transparent."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture)


def _decoded(
    folder: Path, names: Sequence[str], colour: Colour, size: int | None
) -> Iterator[tuple[str, Decoded]]:
    """Decode images in order, with a progress bar on a terminal."""
    work = partial(decode, colour=colour, size=size)
    step = DECODED_AT_ONCE
    if size is not None:
        step = max(1, min(step, DECODED_BYTES_AT_ONCE // (3 * size**2)))
    starts = with_progress(
        range(0, len(names), step), f"Decoding {len(names)} images", -(-len(names) // step)
    )
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in starts:
            some = names[start : start + step]
            paths = [folder / name for name in some]
            yield from zip(some, pool.map(work, paths), strict=True)


def _extent(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def normalisation_of(images: NDArray[np.uint8]) -> Normalisation:
    """Return mean and standard deviation of each channel, of pixels in [0, 1].

    A channel that is constant is only centred.

    Args:
        images: the training images; shape (n, H, W, C).
    """
    channels = images.shape[3]
    counts = np.zeros((channels, _LEVELS), dtype=np.int64)
    step = _step(images)
    for start in range(0, len(images), step):
        for channel in range(channels):
            pixels = images[start : start + step, :, :, channel].ravel()
            counts[channel] += np.bincount(pixels, minlength=_LEVELS)
    levels = np.arange(_LEVELS) / (_LEVELS - 1)
    total = counts.sum(axis=1)
    mean = counts @ levels / total
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total
    deviation = np.where((counts > 0).sum(axis=1) > 1, np.sqrt(variance), 1.0)
    return Normalisation(tuple(mean.tolist()), tuple(deviation.tolist()))


def write_features(
    file: IO[bytes], images: NDArray[Any], normalisation: Normalisation | None
) -> None:
    """Write images as a NumPy file of float32 features, shape (n, C, H, W).

    Written piece by piece, not through a memory map: then a full disk is an error, not a crash.

    Args:
        file: an open binary file.
        images: pixels, uint8 of shape (n, H, W, C); or, without ``normalisation``, features as
            they are.
        normalisation: how pixels become features.
    """
    count, *image = images.shape
    if normalisation is not None:
        height, width, channels = image
        image = [channels, height, width]
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, *image)}
    np.lib.format.write_array_header_1_0(file, header)
    tables = None if normalisation is None else _tables(normalisation)
    step = _step(images)
    for start in range(0, count, step):
        some = images[start : start + step]
        if tables is not None:
            some = np.stack([table[some[..., c]] for c, table in enumerate(tables)], axis=1)
        file.write(np.ascontiguousarray(some, dtype="<f4").data)


def _step(images: NDArray[Any]) -> int:
    return max(
        1, min(CONVERTED_AT_ONCE, CONVERTED_BYTES_AT_ONCE * len(images) // max(images.nbytes, 1))
    )


def _tables(normalisation: Normalisation) -> FloatArray:
    """Return the feature of every byte in every channel; shape (C, 256)."""
    levels = np.arange(_LEVELS) / (_LEVELS - 1)
    mean, deviation = (
        np.array(value)[:, None] for value in (normalisation.mean, normalisation.deviation)
    )
    table: FloatArray = ((levels - mean) / deviation).astype(np.float32)
    return table


def with_progress(steps: Iterable[Step], text: str, total: int) -> Iterable[Step]:
    """Return steps that show a progress bar as they are taken, if this is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not console.is_terminal:  # some versions of rich end even a disabled bar with a new line
        return steps
    return track(steps, text, total=total, console=console, transient=True)
