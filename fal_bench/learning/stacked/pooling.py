"""ReLU and 2x2 max-pooling of a convolution's output, forwards and backwards, in place.

The two commute, so pooling comes first and ReLU has a quarter of the work. Which pixel of a run
won is kept as differences, in the place of pixels that are no longer needed: large elementwise
operations on few bytes, and no masks of another type.
"""

from __future__ import annotations

import torch
from torch import Tensor

_where_positive = torch.ops.aten.threshold_backward.grad_input


class RectifiedPool:
    """The pooling of one convolution, and the space it needs.

    Args:
        pixels: the convolution's output, overwritten by both passes, shape
            (images, 2, 2 * h, w, C): the even columns of an image, then the odd ones.
        pooled: where the result goes, shape (images, h, w, C).
    """

    def __init__(self, pixels: Tensor, pooled: Tensor) -> None:
        self._left, self._right = pixels.unbind(1)
        self._sides = torch.empty_like(self._left, memory_format=torch.contiguous_format)
        self._upper, self._lower = self._sides[:, 0::2], self._sides[:, 1::2]
        self._below = self._left[:, : pooled.shape[1]]
        self._pooled = pooled

    def forward(self) -> None:
        """Pool and rectify."""
        torch.maximum(self._left, self._right, out=self._sides)
        torch.sub(self._right, self._left, out=self._right)
        torch.sub(self._lower, self._upper, out=self._below)
        torch.maximum(self._upper, self._lower, out=self._pooled)
        self._pooled.clamp_min_(0)

    def backward(self, gradient: Tensor) -> None:
        """Replace the pixels by their gradients; of equal pixels the first one gets it all.

        Args:
            gradient: that of the result, shape (images, h, w, C).
        """
        _where_positive(gradient, self._pooled, 0, grad_input=self._upper)
        _where_positive(self._upper, self._below, 0, grad_input=self._lower)
        torch.sub(self._upper, self._lower, out=self._upper)
        _where_positive(self._sides, self._right, 0, grad_input=self._right)
        torch.sub(self._sides, self._right, out=self._left)
