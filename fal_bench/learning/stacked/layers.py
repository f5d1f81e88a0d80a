"""Stacked forward passes of the layers that ship with falbench.

Activations are (slots, rows, features) for linear layers, and (rows, slots * C, H, W) for images,
so that a convolution of all slots is one grouped convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from fal_bench.learning.model import Weights
from fal_bench.learning.stacked.batch import Batch

Layer = Callable[[Tensor, Weights, Batch], Tensor]
"""Maps activations, given the stacked weights and the batch."""


def stack_layers(network: nn.Module) -> list[Layer] | None:
    """Return the stacked layers of a network, in order; None if one of them is unknown.

    The network must run its leaf modules one after the other, in the order of their definition,
    as ``fal_bench.learning.network.Network`` does with a sequential body.
    """
    layers = []
    for name, module in network.named_modules():
        if any(True for _ in module.children()):
            if type(module) is not nn.Sequential and module is not network:
                return None
            continue
        make = _STACKED.get(type(module))
        if make is None:
            return None
        layers.append(make(name, module))
    return layers


def _linear(name: str, module: Any) -> Layer:
    if module.bias is None:
        return lambda h, w, _: torch.bmm(h, w[f"{name}.weight"].transpose(1, 2))
    return lambda h, w, _: torch.baddbmm(
        w[f"{name}.bias"].unsqueeze(1), h, w[f"{name}.weight"].transpose(1, 2)
    )


def _convolution(name: str, module: Any) -> Layer:
    def layer(images: Tensor, weights: Weights, batch: Batch) -> Tensor:
        kernels = weights[f"{name}.weight"].flatten(0, 1)
        bias = None if module.bias is None else weights[f"{name}.bias"].flatten()
        slots = len(batch.counts)
        return conv2d(images, kernels, bias, module.stride, module.padding, groups=slots)

    if module.groups != 1 or module.dilation != (1, 1) or module.padding_mode != "zeros":
        raise NotImplementedError(f"{name}: stacking knows plain convolutions only")
    return layer


def _pooling(name: str, module: Any) -> Layer:  # noqa: ARG001
    return lambda h, _w, _b: max_pool2d(h, module.kernel_size, module.stride, module.padding)


def _flatten(name: str, module: Any) -> Layer:  # noqa: ARG001
    def layer(images: Tensor, weights: Weights, batch: Batch) -> Tensor:  # noqa: ARG001
        return images.reshape(len(images), len(batch.counts), -1).transpose(0, 1)

    return layer


def _relu(name: str, module: Any) -> Layer:  # noqa: ARG001
    return lambda h, _w, _b: h.relu()


def _batch_norm(name: str, module: Any) -> Layer:
    return partial(_normalise, name=name, eps=module.eps, momentum=module.momentum)


def _normalise(
    images: Tensor, weights: Weights, batch: Batch, *, name: str, eps: float, momentum: float
) -> Tensor:
    """Normalise each slot's channels over its own samples, leaving the padding out.

    The running statistics move as ``nn.BatchNorm2d``'s do: the variance with n / (n - 1).
    """
    rows, slots = len(images), len(batch.counts)
    maps = images.reshape(rows, slots, -1, images.shape[2] * images.shape[3])
    inside = batch.inside.T.reshape(rows, slots, 1, 1)
    count = batch.inside.sum(1).mul(maps.shape[3]).clamp_(min=1).view(1, slots, 1, 1)
    mean = (maps * inside).sum((0, 3), keepdim=True) / count
    centred = maps - mean
    variance = (centred.square() * inside).sum((0, 3), keepdim=True) / count
    with torch.no_grad():
        unbiased = variance * (count / (count - 1).clamp_(min=1))
        weights[f"{name}.running_mean"].lerp_(mean.view(slots, -1), momentum)
        weights[f"{name}.running_var"].lerp_(unbiased.view(slots, -1), momentum)
        weights[f"{name}.num_batches_tracked"].add_(1)
    scale = weights[f"{name}.weight"].view(1, slots, -1, 1)
    shift = weights[f"{name}.bias"].view(1, slots, -1, 1)
    normal = centred * (variance + eps).rsqrt() * scale + shift
    return normal.reshape(images.shape)


_STACKED: dict[type[nn.Module], Callable[[str, Any], Layer]] = {
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: _batch_norm,
    nn.MaxPool2d: _pooling,
    nn.Flatten: _flatten,
    nn.ReLU: _relu,
}
