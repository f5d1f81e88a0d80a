"""The first block of a network for images, on a processor: convolution to pooling, by windows.

A convolution of few channels is little work, and what follows it passes many times over outputs
that do not fit into the cache. Three facts about a batch save most of these passes:

- mean and variance of the outputs follow from the mean and covariance of the 3x3 windows;
- pooling may come before normalisation, where outputs of a negative scale are negated, so that
  normalisation and ReLU have a quarter of the work;
- images need no gradient. What normalisation takes from the gradient of the outputs is then needed
  only in its product with the windows, which is the covariance again.

Outputs are computed for a few images at a time, pooled, and never stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import Tensor, nn

from fal_bench.learning.kernels.chain import is_usual
from fal_bench.learning.kernels.windows import SIZE
from fal_bench.learning.network import BLOCK, Network

PIXELS: Final = 8192
"""Pixels whose outputs are computed at a time; those of 64 channels take 2 MiB."""

OUTPUTS: Final = 2**21
"""Least outputs of a batch before pooling. With fewer, 8 MiB, they stay in the cache anyway."""

RATIO: Final = 2
"""Least channels of the outputs for each number in a window. With fewer, the covariance costs as
much as the rest saves."""

_pool = torch.ops.aten.max_pool2d_with_indices.out
_unpool = torch.ops.aten.max_pool2d_with_indices_backward.grad_input
_where_positive = torch.ops.aten.threshold_backward


def by_windows(network: nn.Module) -> nn.Module:
    """Return a module of the same layers that computes the same, in training often sooner.

    Args:
        network: falbench's own or a plugin's, on a processor.

    Returns:
        The network itself, if it does not begin with a usual block of enough channels.
    """
    if not isinstance(network, Network) or not isinstance(network.body, nn.Sequential):
        return network
    layers = list(network.body)
    if tuple(type(layer) for layer in layers[: len(BLOCK)]) != BLOCK:
        return network
    convolution, _, _, pooling = layers[: len(BLOCK)]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(pooling, nn.MaxPool2d)
    usual = is_usual(convolution) and is_usual(pooling)
    if not usual or (convolution.kernel_size, pooling.kernel_size) != ((SIZE, SIZE), 2):
        return network
    if convolution.out_channels < RATIO * convolution.weight[0].numel():
        return network
    first = FirstBlock(*layers[: len(BLOCK)])
    dropout = [] if network.dropout is None else [network.dropout]
    return nn.Sequential(first, *layers[len(BLOCK) :], *dropout, network.head)


class FirstBlock(nn.Sequential):
    """Convolution, batch normalisation, ReLU and max-pooling of images, which get no gradient."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs (n, channels, H // 2, W // 2) of images (n, C, H, W)."""
        convolution, norm = self[0], self[1]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        count, _, height, width = images.shape
        outputs: Tensor
        if not norm.training or count * height * width * len(norm.weight) < OUTPUTS:
            for layer in self:
                images = layer(images)
            return images
        outputs, mean, variance = _Block.apply(
            images, convolution.weight, convolution.bias, norm.weight, norm.bias, norm.eps
        )
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance, norm.momentum)
        norm.num_batches_tracked.add_(1)
        return outputs


class _Block(torch.autograd.Function):
    """The block as a function of its weights.

    Channels of a negative scale are negated until they are scaled, so that the largest value of
    each is what pooling keeps.
    """

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor,
        shift: Tensor,
        epsilon: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs, and mean and unbiased variance of what the convolution gives.

        Args:
            ctx: autograd's notebook.
            images: shape (n, C, H, W).
            weight: of the convolution, shape (channels, C, 3, 3).
            bias: of the convolution, shape (channels,).
            scale: of the normalisation, shape (channels,).
            shift: of the normalisation, shape (channels,).
            epsilon: what the normalisation adds to the variance.
        """
        count, _, height, width = images.shape
        channels, pixels = len(weight), count * height * width
        windows = _windows(images)
        centre = windows.mean((0, 1))
        windows -= centre
        # One line of pixels at a time: a long sum of equal numbers loses half of their digits.
        lines = windows.view(count * height, width, -1)
        covariance = torch.bmm(lines.transpose(1, 2), lines).sum(0).div_(pixels)

        filters = weight.permute(2, 3, 1, 0).reshape(-1, channels)
        covaried = covariance @ filters
        variance = (covaried * filters).sum(0).clamp_(min=0)
        factor = (variance + epsilon).rsqrt_().copysign_(scale)
        normal, size = filters * factor, scale.abs()

        outputs = images.new_empty(count, height // 2, width // 2, channels)
        pooled, places = torch.empty_like(outputs), torch.empty_like(outputs, dtype=torch.int64)
        room = _room(images, height, width, channels)
        for seen, kept, place, out in _few(room, windows, pooled, places, outputs):
            values = room[: len(seen)]
            torch.mm(seen.flatten(0, 1), normal, out=values.view(-1, channels))
            _pool(_nchw(values), [2, 2], [2, 2], out=_nchw(kept), indices=_nchw(place))
            torch.addcmul(shift, kept, size, out=out).clamp_(min=0)
        mean, unbiased = centre @ filters + bias, variance * (pixels / (pixels - 1))
        ctx.mark_non_differentiable(mean, unbiased)
        ctx.image = height, width
        ctx.save_for_backward(windows, covaried, factor, scale, pooled, places, outputs)
        return _nchw(outputs), mean, unbiased

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the weights. That of the bias is zero: a mean is taken away."""
        windows, covaried, factor, scale, pooled, places, outputs = ctx.saved_tensors
        gradient = gradients[0].permute(0, 2, 3, 1).contiguous()
        moved, scaled, shifted = (torch.zeros_like(one) for one in (covaried, scale, scale))
        height, width = ctx.image
        room = _room(gradient, height, width, len(scale))
        for seen, above, kept, place, out in _few(room, windows, gradient, pooled, places, outputs):
            passed = _where_positive(above, out, 0)
            shifted += passed.sum((0, 1, 2))
            scaled += (passed * kept).sum((0, 1, 2))
            values = room[: len(seen)]
            pixels = _nchw(values)
            _unpool(
                _nchw(passed), pixels, [2, 2], [2, 2], [0, 0], [1, 1], False, _nchw(place),
                grad_input=pixels,
            )  # fmt: skip
            moved.addmm_(seen.flatten(0, 1).t(), values.view(-1, len(scale)))
        moved -= covaried * (factor * scaled)
        moved *= factor * scale.abs()
        kernels = moved.view(SIZE, SIZE, -1, len(scale)).permute(3, 2, 0, 1)
        return None, kernels, torch.zeros_like(scale), scaled * factor.sign(), shifted, None


def _windows(images: Tensor) -> Tensor:
    """Return the window of every pixel of images (n, C, H, W), shape (n, H * W, 9 * C)."""
    count, channels, height, width = images.shape
    padded = images.new_zeros(count, height + 2, width + 2, channels)
    padded[:, 1:-1, 1:-1] = images.permute(0, 2, 3, 1)
    windows = images.new_empty(count, height, width, SIZE, SIZE * channels)
    strides = padded.stride()[:-1]
    for line in range(SIZE):  # what one line of a window sees lies side by side
        seen = padded[:, line:].as_strided((*windows.shape[:3], SIZE * channels), (*strides, 1))
        windows[..., line, :] = seen
    return windows.view(count, height * width, -1)


def _room(like: Tensor, height: int, width: int, channels: int) -> Tensor:
    """Return the room for outputs of a few images, shape (images, height, width, channels)."""
    return like.new_empty(max(1, PIXELS // (height * width)), height, width, channels)


def _few(room: Tensor, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield what tensors have of as many images as there is room for."""
    return zip(*(torch.split(tensor, len(room)) for tensor in tensors), strict=True)


def _nchw(images: Tensor) -> Tensor:
    """Return images (n, H, W, C) as layers take them, in channels-last layout."""
    return images.permute(0, 3, 1, 2)
