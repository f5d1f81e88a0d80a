"""From image files to bytes of one shape."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fal_bench.errors import DataError, InvalidSpecError

if TYPE_CHECKING:
    from PIL import Image

Colour = Literal["rgb", "grey"]

AT_ONCE = 64
"""Images that are decoded before they are written; bounds the memory."""
BYTES_AT_ONCE = 2**28
"""Bytes that they take at most, where the size is known and one image does not take more."""

_FORMATS = ("JPEG", "PNG")

_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "F")
"""Modes with more than 8 bits a pixel, which Pillow would clip."""


@dataclass(frozen=True)
class Decoded:
    """One decoded image.

    Attributes:
        pixels: shape (H, W, C).
        digest: SHA-256 of the file.
    """

    pixels: NDArray[np.uint8]
    digest: str


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
        size: side of the square that images are brought to; None if they have one size already.
        target: the file to write.

    Returns:
        The pixels, shape (n, H, W, C), and the SHA-256 of each file.

    Raises:
        DataError: a file cannot be decoded; it is named.
        InvalidSpecError: sizes differ and ``size`` is None, or a file has more than 8 bits a pixel.
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

    It is turned upright as its EXIF data say. Transparent pixels are laid over white. Grey images
    become colour images of three equal channels, and colour images grey ones by ITU-R 601. With
    ``size`` the largest centred square is cut out and brought to that side by Lanczos's filter.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    content = _read(path)
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
            if opened.mode in _DEEP_MODES:
                raise InvalidSpecError(
                    f"{str(path)!r} has more than 8 bits a pixel; convert it to 8 bits."
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
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"Cannot read the image {str(path)!r} ({error.strerror}); replace or remove it."
        ) from None
    if not content:
        raise DataError(
            f"Cannot decode the image {str(path)!r} (the file is empty); replace or remove it."
        )
    return content


def _opaque(image: Image.Image) -> Image.Image:
    """Return an image without transparency: it lies over white."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture)


def _decoded(
    folder: Path, names: Sequence[str], colour: Colour, size: int | None
) -> Iterator[tuple[str, Decoded]]:
    """Decode images in order, showing how far it is on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    work = partial(decode, colour=colour, size=size)
    step = AT_ONCE if size is None else max(1, min(AT_ONCE, BYTES_AT_ONCE // (3 * size**2)))
    starts = track(
        range(0, len(names), step),
        f"Decoding {len(names)} images",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in starts:
            some = names[start : start + step]
            paths = [folder / name for name in some]
            yield from zip(some, pool.map(work, paths), strict=True)


def _extent(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
