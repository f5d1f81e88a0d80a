"""The memory of one step of a plain convolutional network, allocated once for many steps."""

from __future__ import annotations

import torch
from torch import Tensor

from fal_bench.learning.kernels.even import even
from fal_bench.learning.kernels.windows import LayerWindows, window_length

_where_positive = torch.ops.aten.threshold_backward.grad_input


class RectifiedPool:
    """ReLU and 2x2 max-pooling of one convolution's output, and the space they need.

    The two commute, so pooling comes first and ReLU has a quarter of the work. Which pixel of a run
    won is kept as differences, in the place of pixels that are no longer needed: large elementwise
    operations on few bytes, and no masks of another type.

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


class Block:
    """A convolution with ReLU and pooling, of all slots.

    Args:
        inputs: the windows it sees, shape (slots, windows, length).
        channels: output channels.
        pooled: where its result goes, shape (images, h, w, channels).
        below: the way of gradients back to images; None if the windows are those of samples.

    Attributes:
        inputs: as above.
        delta: after ``backward``, the gradient of the convolution's output, shape
            (slots, windows, channels).
    """

    def __init__(
        self, inputs: Tensor, channels: int, pooled: Tensor, below: LayerWindows | None
    ) -> None:
        self.inputs = inputs
        self.delta = inputs.new_empty(*inputs.shape[:2], channels)
        images, height, width, _ = pooled.shape
        pixels = self.delta.view(images, 2, 2 * height, width, channels)
        self._pool = RectifiedPool(pixels, pooled)
        self._below = below

    def forward(self, weight: Tensor) -> None:
        """Compute the result, given the layer's matrices, shape (slots, length, channels)."""
        if self._below is not None:
            self._below.unfold()
        torch.bmm(self.inputs, weight, out=self.delta)
        self._pool.forward()

    def backward(self, gradient: Tensor, weight: Tensor) -> Tensor | None:
        """Compute ``delta`` from the result's gradient; return the gradient of the images."""
        self._pool.backward(gradient)
        if self._below is None:
            return None
        into = self._below.gradients
        torch.bmm(self.delta, weight[:, : into.shape[2]].transpose(1, 2), out=into)
        self._below.fold()
        return self._below.folded


class Head:
    """The room before the last layer.

    Args:
        like: gives type and device.
        slots: number of slots.
        rows: rows of each slot's batch.
        shape: (h, w, C) of the last block's result.

    Attributes:
        inputs: the embeddings, then the bias's 1 and padding, shape (slots, rows, length).
        pooled: the embeddings as images, shape (slots * rows, h, w, C).
        gradient: for the gradient of ``pooled``, shape (slots, rows, h * w * C).
    """

    def __init__(self, like: Tensor, slots: int, rows: int, shape: tuple[int, int, int]) -> None:
        size = shape[0] * shape[1] * shape[2]
        self.inputs = like.new_zeros(slots, rows, even(size + 1))
        self.inputs[..., size] = 1
        self.pooled = self.inputs[..., :size].view(slots * rows, *shape)
        self.gradient = like.new_empty(slots, rows, size)

    def backward(self, delta: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient of the embeddings as images, given that of the logits."""
        size = self.gradient.shape[2]
        torch.bmm(delta, weight[:, :size].transpose(1, 2), out=self.gradient)
        return self.gradient.view(self.pooled.shape)


class Workspace:
    """The blocks of one step, each of which writes where the next one reads.

    Args:
        like: gives type and device.
        shape: (slots, rows, C, H, W) of the batch.
        channels: output channels of each block.

    Attributes:
        shape: as above.
        blocks: first to last.
        head: what comes after them.
    """

    def __init__(
        self, like: Tensor, shape: tuple[int, int, int, int, int], channels: list[int]
    ) -> None:
        self.shape = shape
        slots, rows, colours, height, width = shape
        pixels = 4 * (height // 2) * (width // 2)
        inputs = like.new_empty(slots, rows * pixels, window_length(colours))
        below: LayerWindows | None = None
        self.blocks: list[Block] = []
        for outputs in channels[:-1]:
            height, width = height // 2, width // 2
            padded = like.new_zeros(slots * rows, height + 2, width + 2, outputs)
            self.blocks.append(Block(inputs, outputs, padded[:, 1:-1, 1:-1], below))
            below = LayerWindows(padded, slots)
            inputs = below.rows
        self.head = Head(like, slots, rows, (height // 2, width // 2, channels[-1]))
        self.blocks.append(Block(inputs, channels[-1], self.head.pooled, below))
