"""From pixels to features: standardised by the training images, channel by channel.

Each channel has mean 0 and standard deviation 1 over all pixels of the training images in use;
test images get the same map. Pixels are bytes, so both figures follow from whole numbers and are
the same on every machine.
"""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.data.base import Normalisation

CHUNK = 1024
"""Images that are converted at once."""
CHUNK_BYTES = 2**26
"""Bytes of pixels that they have at most, if one image does not have more."""

_LEVELS = 256


def normalisation(images: NDArray[np.uint8]) -> Normalisation:
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


def write_features(file: IO[bytes], images: NDArray[Any], how: Normalisation | None) -> None:
    """Write images as a NumPy file of float32 features, shape (n, C, H, W).

    Written piece by piece, not through a memory map: a full disk is then an error and no crash.

    Args:
        file: an open binary file.
        images: pixels, uint8 of shape (n, H, W, C); or, without ``how``, features as they are.
        how: how pixels become features.
    """
    count, *image = images.shape
    if how is not None:
        height, width, channels = image
        image = [channels, height, width]
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, *image)}
    np.lib.format.write_array_header_1_0(file, header)
    tables = None if how is None else _tables(how)
    step = _step(images)
    for start in range(0, count, step):
        some = images[start : start + step]
        if tables is not None:
            some = np.stack([table[some[..., c]] for c, table in enumerate(tables)], axis=1)
        file.write(np.ascontiguousarray(some, dtype="<f4").data)


def _step(images: NDArray[Any]) -> int:
    return max(1, min(CHUNK, CHUNK_BYTES * len(images) // max(images.nbytes, 1)))


def _tables(how: Normalisation) -> NDArray[np.float32]:
    """Return the feature of every byte in every channel; shape (C, 256)."""
    levels = np.arange(_LEVELS) / (_LEVELS - 1)
    mean, deviation = np.array(how.mean)[:, None], np.array(how.deviation)[:, None]
    table: NDArray[np.float32] = ((levels - mean) / deviation).astype(np.float32)
    return table
