"""A convolution of all slots as batched matrix products, with a hand-written backward pass.

Images are (slots, rows, H, W, C). Each image's windows are laid out as the rows of a matrix
(Chellapilla et al., 2006), so that one ``baddbmm`` convolves all slots. Small images gain twice
over a grouped convolution, and a slot's bits do not depend on how many stand beside it. Series are
images of height 1, with kernels and pooling of height 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fal_bench.learning.kernels.even import even


class StackedConvolution(torch.autograd.Function):
    """Convolution by kernels of odd sides, to the same size; every slot has its own kernels."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, kernels: Tensor, bias: Tensor) -> Tensor:
        """Convolve.

        Args:
            ctx: autograd's notebook.
            images: shape (slots, rows, H, W, C).
            kernels: shape (slots, O, C, h, w).
            bias: shape (slots, O).

        Returns:
            Shape (slots, rows, H, W, O).
        """
        columns = _columns(images, *kernels.shape[3:])
        ctx.save_for_backward(columns, kernels)
        ctx.images_shape = images.shape
        result = torch.baddbmm(bias.unsqueeze(1), columns, _matrix(kernels))
        return result.view(*images.shape[:4], kernels.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of images, kernels and bias."""
        columns, kernels = ctx.saved_tensors
        slots, outputs, channels, high, wide = kernels.shape
        delta = gradients[0].reshape(slots, -1, outputs)
        moved = torch.bmm(delta.transpose(1, 2), columns)[..., : high * wide * channels]
        moved = moved.reshape(slots, outputs, high, wide, channels).permute(0, 1, 4, 2, 3)
        images = None
        if ctx.needs_input_grad[0]:
            # The gradient is itself a convolution, by the kernels turned around.
            around = _columns(gradients[0], high, wide)
            images = torch.bmm(around, _matrix(kernels.flip(3, 4).transpose(1, 2)))
            images = images.view(ctx.images_shape)
        return images, moved.contiguous(), delta.sum(1)


def _matrix(kernels: Tensor) -> Tensor:
    """Return kernels (slots, O, C, h, w) as matrices (slots, h * w * C, O) that fit ``_columns``.

    An odd length gets a row of zeros, see ``even.py``.
    """
    slots, outputs = kernels.shape[:2]
    matrix = kernels.permute(0, 3, 4, 2, 1).reshape(slots, -1, outputs)
    if matrix.shape[1] % 2:
        matrix = torch.cat([matrix, matrix.new_zeros(slots, 1, outputs)], 1)
    return matrix


def _columns(images: Tensor, high: int, wide: int) -> Tensor:
    """Return every window of high * wide pixels as a row, shape (slots, rows * H * W, h * w * C).

    An odd length gets a column of zeros, see ``even.py``.
    """
    slots, rows, height, width, channels = images.shape
    top, left = high // 2, wide // 2
    padded = images.new_zeros(slots * rows, height + 2 * top, width + 2 * left, channels)
    padded[:, top : top + height, left : left + width].copy_(images.flatten(0, 1))
    batch, row, column, channel = padded.stride()
    shape = (slots * rows, height, width, high, wide, channels)
    windows = padded.as_strided(shape, (batch, row, column, row, column, channel))
    length = high * wide * channels
    columns = images.new_empty(slots, rows * height * width, even(length))
    columns[..., :length].view(shape).copy_(windows)
    columns[..., length:] = 0
    return columns


class HalvingMaxPool(torch.autograd.Function):
    """2x2 max-pooling of images (slots, rows, H, W, C); of equal values the first one wins."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        """Return the maxima, shape (slots, rows, H // 2, W // 2, C)."""
        corners = _corners(images)
        upper, lower = torch.maximum(*corners[:2]), torch.maximum(*corners[2:])
        ctx.save_for_backward(corners[1] > corners[0], corners[3] > corners[2], lower > upper)
        ctx.shape = images.shape
        return torch.maximum(upper, lower)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Send each gradient to where its maximum was."""
        right_above, right_below, below = ctx.saved_tensors
        images = gradients[0].new_zeros(ctx.shape)
        corners = _corners(images)
        lower = gradients[0] * below
        upper = gradients[0] - lower
        torch.mul(upper, right_above, out=corners[1])
        torch.sub(upper, corners[1], out=corners[0])
        torch.mul(lower, right_below, out=corners[3])
        torch.sub(lower, corners[3], out=corners[2])
        return images


class TimeMaxPool(torch.autograd.Function):
    """1x2 max-pooling of series (slots, rows, 1, T, C); of equal values the first one wins."""

    @staticmethod
    def forward(ctx: Any, series: Tensor) -> Tensor:
        """Return the maxima, shape (slots, rows, 1, T // 2, C)."""
        earlier, later = _halves(series)
        ctx.save_for_backward(later > earlier)
        ctx.shape = series.shape
        return torch.maximum(earlier, later)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Send each gradient to where its maximum was."""
        series = gradients[0].new_zeros(ctx.shape)
        earlier, later = _halves(series)
        torch.mul(gradients[0], ctx.saved_tensors[0], out=later)
        torch.sub(gradients[0], later, out=earlier)
        return series


def _halves(series: Tensor) -> tuple[Tensor, Tensor]:
    """Return views of both values of every pair; an odd last one is left out."""
    length = series.shape[3] // 2 * 2
    return series[:, :, :, 0:length:2], series[:, :, :, 1:length:2]


def _corners(images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return views of the four pixels of every 2x2 window; an odd last row is left out."""
    height, width = images.shape[2] // 2 * 2, images.shape[3] // 2 * 2
    even, odd = images[:, :, 0:height:2], images[:, :, 1:height:2]
    return (
        even[:, :, :, 0:width:2],
        even[:, :, :, 1:width:2],
        odd[:, :, :, 0:width:2],
        odd[:, :, :, 1:width:2],
    )
