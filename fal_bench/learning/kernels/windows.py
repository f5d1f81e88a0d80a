"""3x3 windows of images as the rows of a matrix, and back (Chellapilla et al., 2006).

A window is laid out as (3, 3, C), then a 1 that multiplies the bias, then a 0 if the length would
be odd (see ``even.py``). The windows of an image
are ordered for 2x2 pooling, as (2, 2 * h, w): those in even columns, then those in odd ones.
Windows that pooling leaves out, in an odd last row or column, are never made.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fal_bench.learning.kernels.even import even

SIZE = 3
"""Side of a window; images have a border of one zero on each side."""


def window_length(channels: int) -> int:
    """Return the length of a window's row: values, the bias's 1 and padding."""
    return even(SIZE * SIZE * channels + 1)


def windows_of(padded: Tensor) -> Tensor:
    """Return a view of all windows.

    Args:
        padded: images with their border, shape (n, H + 2, W + 2, C).

    Returns:
        Shape (n, 2, 2 * h, w, 3, 3 * C), with h = H // 2 and w = W // 2.
    """
    count, height, width, channels = padded.shape
    image, row, column, _ = padded.stride()
    return padded.as_strided(
        (count, 2, (height - 2) // 2 * 2, (width - 2) // 2, SIZE, SIZE * channels),
        (image, column, row, 2 * column, row, 1),
    )


class SampleWindows:
    """The windows of samples, gathered pixel by pixel from flat images.

    Args:
        features: all samples, shape (n, C, H, W).
    """

    def __init__(self, features: Tensor) -> None:
        count, channels, height, width = features.shape
        shape = (height + 2, width + 2, channels)
        pixels = shape[0] * shape[1] * shape[2]
        self._flat = features.new_zeros(count, pixels + 2)
        inner = self._flat[:, :pixels].view(count, *shape)[:, 1:-1, 1:-1]
        inner.copy_(features.permute(0, 2, 3, 1))
        self._flat[:, pixels] = 1
        numbers = torch.arange(pixels, device=features.device).view(1, *shape)
        inside = windows_of(numbers).reshape(-1, SIZE * SIZE * channels)
        index = inside.new_full((len(inside), window_length(channels)), pixels + 1)
        index[:, : inside.shape[1]] = inside
        index[:, inside.shape[1]] = pixels
        self._index = index.view(-1)

    def gather(self, chosen: Tensor, out: Tensor) -> None:
        """Write the windows of the ``chosen`` samples, shape (n,), into ``out``, in order."""
        images = self._flat.index_select(0, chosen)
        torch.index_select(images, 1, self._index, out=out.view(len(chosen), -1))


class LayerWindows:
    """The windows of a layer's images, and the way back for their gradients.

    Args:
        padded: images with their border, which stays zero, shape (n, H + 2, W + 2, C).
        slots: lanes that share the n images equally.

    Attributes:
        rows: the windows, shape (slots, windows, length).
        gradients: the windows' gradients, shape (slots, windows, 3 * 3 * C).
        folded: the images' gradients, shape (n, H, W, C).
    """

    def __init__(self, padded: Tensor, slots: int) -> None:
        self._windows = windows_of(padded)
        length = SIZE * self._windows.shape[-1]
        count = self._windows[..., 0, 0].numel() // slots
        self.rows = padded.new_empty(slots, count, window_length(padded.shape[3]))
        self.rows[..., length:] = 0
        self.rows[..., length] = 1
        self._values = self.rows[..., :length].view(self._windows.shape)
        self.gradients = padded.new_empty(slots, count, length)
        self._sums = torch.empty_like(padded)
        self.folded = self._sums[:, 1:-1, 1:-1]
        sources, targets = self.gradients.view(self._windows.shape), windows_of(self._sums)
        # Windows four pixels apart do not overlap: every second one of a side is added at once.
        self._pieces = [
            (targets[:, side, :, first::2, below], sources[:, side, :, first::2, below])
            for below in range(SIZE)
            for side in range(2)
            for first in range(min(2, sources.shape[3]))
        ]

    def unfold(self) -> None:
        """Lay out the windows of the images as they are now."""
        self._values.copy_(self._windows)

    def fold(self) -> None:
        """Add up the windows' gradients, as they are now, at each pixel."""
        self._sums.zero_()
        for target, source in self._pieces:
            target.add_(source)
