"""Any chain of known layers and any loss: one autograd call for all slots.

Activations are (slots, rows, H, W, C) for images and (slots, rows, features) after flattening.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fal_bench.learning.chance import Dropout
from fal_bench.learning.device import on_device
from fal_bench.learning.kernels.batch import Batch, MixedRows, Outcome
from fal_bench.learning.kernels.chain import ALONG_TIME, Chain
from fal_bench.learning.kernels.convolution import (
    HalvingMaxPool,
    StackedConvolution,
    TimeMaxPool,
)
from fal_bench.learning.kernels.even import widened
from fal_bench.learning.kernels.sgd import Pace, StackedState, descend
from fal_bench.learning.model import Weights
from fal_bench.learning.request import mixture_losses, sample_losses, trainer_of
from fal_bench.plugins.needs import LocalTraining
from fal_bench.plugins.trainer import MixedBatch

Rows = Batch | MixedRows
"""What flows through a network: labelled samples, or mixtures of unlabelled ones."""

Layer = Callable[[Tensor, Weights, Rows], Tensor]
"""Maps activations, given the stacked weights and the rows that they come from."""

Forward = Callable[[Rows, Weights], Tensor]
"""Maps the rows of all slots and their stacked weights to logits (slots, rows, classes)."""


class AutogradStep:
    """One step in all slots.

    Args:
        chain: the network's layers.
        training: the recipe.
    """

    state: type[StackedState] = StackedState

    def __init__(self, chain: Chain, training: LocalTraining) -> None:
        self._forward = _stacked(chain)
        self._training = training
        self._trainer = trainer_of(training)

    def __call__(self, state: StackedState, batch: Batch, pace: Pace) -> Outcome:
        """Take the step; return what the network said before it."""
        weights = {name: tensor.detach().requires_grad_() for name, tensor in state.weights.items()}
        logits = batch.known(self._forward(batch, weights))
        losses = sample_losses(self._trainer, logits, batch.local())
        # Slots share no parameter, so the sum's gradient is every slot's own gradient.
        loss = (losses * batch.shares).sum()
        if batch.mixed is not None:
            loss = loss + self._mixed_loss(state, batch, batch.mixed, weights)
        gradients = torch.autograd.grad(loss, list(weights.values()))
        descend(state, list(gradients), self._training, pace)
        return Outcome(logits.detach(), losses.detach() * batch.inside)

    @torch.no_grad()
    def logits(self, state: StackedState, batch: Batch) -> Tensor:
        """Return what the network says, shape (slots, rows, outputs)."""
        return self._forward(batch, state.weights)

    def _mixed_loss(
        self, state: StackedState, batch: Batch, mixed: MixedRows, weights: Weights
    ) -> Tensor:
        with torch.no_grad():
            start_logits = batch.known(self._forward(mixed, state.start))
        device = start_logits.device
        seen = MixedBatch(
            weight=on_device(mixed.weight, device),
            partner=on_device(mixed.partner, device),
            class_counts=on_device(batch.class_counts, device),
            round=on_device(batch.round, device),
            start_logits=start_logits,
        )
        logits = batch.known(self._forward(mixed, weights))
        losses = mixture_losses(self._trainer, logits, seen)
        return (losses * mixed.shares).sum()


def _stacked(chain: Chain) -> Forward:
    layers: list[Layer] = []
    for number, (name, module) in enumerate(chain):
        layer = _layer(name, module)
        if type(module) is nn.MaxPool2d and type(chain[number - 1][1]) is nn.ReLU:
            # They commute, in value and gradient; pooled first, ReLU has a quarter of the work.
            layers.insert(-1, layer)
        else:
            layers.append(layer)

    def forward(rows: Rows, weights: Weights) -> Tensor:
        activations = rows.by_lane.permute(0, 1, 3, 4, 2)
        for layer in layers:
            activations = layer(activations, weights, rows)
        return activations

    return forward


def _layer(name: str, module: nn.Module) -> Layer:
    """Return a module's stacked form."""
    if isinstance(module, nn.Linear):
        return partial(_linear, name=name)
    if isinstance(module, nn.Conv2d):
        return partial(_convolve, name=name)
    if isinstance(module, nn.MaxPool2d) and module.kernel_size == ALONG_TIME:
        return partial(_pool, function=TimeMaxPool)
    return _SIMPLE[type(module)]


def _linear(inputs: Tensor, weights: Weights, batch: Rows, *, name: str) -> Tensor:  # noqa: ARG001
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"].unsqueeze(1)
    return torch.baddbmm(bias, widened(inputs, weight.shape[2]), weight.transpose(1, 2))


def _drop(activations: Tensor, weights: Weights, batch: Rows) -> Tensor:  # noqa: ARG001
    if batch.kept is None:
        return activations
    return activations * widened(batch.kept, activations.shape[2])


def _convolve(images: Tensor, weights: Weights, batch: Rows, *, name: str) -> Tensor:  # noqa: ARG001
    return _apply(StackedConvolution, images, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _pool(
    images: Tensor,
    weights: Weights,  # noqa: ARG001
    batch: Rows,  # noqa: ARG001
    *,
    function: type[torch.autograd.Function],
) -> Tensor:
    return _apply(function, images)


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    result: Tensor = function.apply(*arguments)
    return result


_SIMPLE: dict[type[nn.Module], Layer] = {
    nn.ReLU: lambda activations, _weights, _batch: activations.relu(),
    nn.MaxPool2d: partial(_pool, function=HalvingMaxPool),
    nn.Flatten: lambda images, _weights, _batch: images.permute(0, 1, 4, 2, 3).flatten(2),
    Dropout: _drop,
}
