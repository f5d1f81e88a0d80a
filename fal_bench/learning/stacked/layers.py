"""Stacked forward passes of the layers that ship with falbench.

Activations are (slots, rows, H, W, C) for images and (slots, rows, features) after flattening.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fal_bench.learning.chance import Dropout
from fal_bench.learning.model import Weights
from fal_bench.learning.stacked.batch import Batch
from fal_bench.learning.stacked.convolution import HalvingMaxPool, StackedConvolution
from fal_bench.learning.stacked.even import widened
from fal_bench.learning.stacked.mixing import MixedRows

Rows = Batch | MixedRows
"""What flows through a network: labelled samples, or mixtures of unlabelled ones."""

Layer = Callable[[Tensor, Weights, Rows], Tensor]
"""Maps activations, given the stacked weights and the rows that they come from."""


def stack_layers(network: nn.Module) -> list[Layer] | None:
    """Return the stacked layers of a network, in order; None if one of them is unknown.

    The network must run its leaf modules one after the other, in the order of their definition,
    as ``fal_bench.learning.network.Network`` does with a sequential body.
    """
    layers: list[Layer] = []
    kinds: list[type[nn.Module]] = []
    for name, module in network.named_modules():
        if any(True for _ in module.children()):
            if type(module) is not nn.Sequential and module is not network:
                return None
            continue
        layer = _stacked(name, module)
        if layer is None:
            return None
        if kinds and kinds[-1] is nn.ReLU and type(module) is nn.MaxPool2d:
            # They commute, in value and gradient; pooled first, ReLU has a quarter of the work.
            layers.insert(-1, layer)
        else:
            layers.append(layer)
        kinds.append(type(module))
    return layers


def _stacked(name: str, module: Any) -> Layer | None:
    """Return a module's stacked form; None if it has none."""
    kind = type(module)
    if kind is nn.Linear and module.bias is not None:
        return partial(_linear, name=name)
    if kind is nn.Conv2d and _is_plain(module):
        return partial(_convolve, name=name, padding=module.padding[0])
    if kind is nn.BatchNorm2d and module.affine and module.track_running_stats and module.momentum:
        return partial(_normalise, name=name, eps=module.eps, momentum=module.momentum)
    if kind is nn.MaxPool2d and (module.kernel_size, module.stride, module.padding) == (2, 2, 0):
        return lambda images, _weights, _batch: _apply(HalvingMaxPool, images)
    if kind is nn.Flatten:
        return lambda images, _weights, _batch: images.permute(0, 1, 4, 2, 3).flatten(2)
    if kind is Dropout:
        return _drop
    if kind is nn.ReLU:
        return lambda activations, _weights, _batch: activations.relu()
    return None


def _is_plain(module: nn.Conv2d) -> bool:
    """Whether a convolution has square kernels, stride 1, a bias, and nothing unusual."""
    square = module.kernel_size[0] == module.kernel_size[1]
    usual = (module.stride, module.dilation, module.groups) == ((1, 1), (1, 1), 1)
    even = isinstance(module.padding, tuple) and module.padding[0] == module.padding[1]
    return square and usual and even and module.padding_mode == "zeros" and module.bias is not None


def _linear(inputs: Tensor, weights: Weights, batch: Rows, *, name: str) -> Tensor:  # noqa: ARG001
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"].unsqueeze(1)
    return torch.baddbmm(bias, widened(inputs, weight.shape[2]), weight.transpose(1, 2))


def _drop(activations: Tensor, weights: Weights, batch: Rows) -> Tensor:  # noqa: ARG001
    if batch.kept is None:
        return activations
    return activations * widened(batch.kept, activations.shape[2])


def _convolve(
    images: Tensor,
    weights: Weights,
    batch: Rows,  # noqa: ARG001
    *,
    name: str,
    padding: int,
) -> Tensor:
    kernels, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return _apply(StackedConvolution, images, kernels, bias, padding)


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    result: Tensor = function.apply(*arguments)
    return result


def _normalise(
    images: Tensor, weights: Weights, batch: Rows, *, name: str, eps: float, momentum: float
) -> Tensor:
    """Normalise each slot's channels over its own samples, leaving the padding out.

    The running statistics move as ``nn.BatchNorm2d``'s do: the variance with n / (n - 1).
    """
    slots, rows, height, width, _ = images.shape
    scale = weights[f"{name}.weight"].view(slots, 1, 1, 1, -1)
    shift = weights[f"{name}.bias"].view(slots, 1, 1, 1, -1)
    if batch.frozen:
        mean = weights[f"{name}.running_mean"].view(slots, 1, 1, 1, -1)
        variance = weights[f"{name}.running_var"].view(slots, 1, 1, 1, -1)
        return (images - mean) * (variance + eps).rsqrt() * scale + shift
    inside = batch.inside.view(slots, rows, 1, 1, 1)
    count = batch.inside.sum(1).mul(height * width).clamp_(min=1).view(slots, 1, 1, 1, 1)
    mean = (images * inside).sum((1, 2, 3), keepdim=True) / count
    centred = images - mean
    variance = (centred.square() * inside).sum((1, 2, 3), keepdim=True) / count
    with torch.no_grad():
        unbiased = variance * (count / (count - 1).clamp_(min=1))
        share: float | Tensor = momentum
        if isinstance(batch, MixedRows):  # slots that mix nothing stay where they are
            share = momentum * batch.inside.amax(1, keepdim=True)
        weights[f"{name}.running_mean"].lerp_(mean.view(slots, -1), share)
        weights[f"{name}.running_var"].lerp_(unbiased.view(slots, -1), share)
        weights[f"{name}.num_batches_tracked"].add_(batch.inside.amax(1).long())
    return centred * (variance + eps).rsqrt() * scale + shift
