"""Convolutional networks: stacked layers, and one autograd call for all slots."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fal_bench.learning.stacked.batch import Batch
from fal_bench.learning.stacked.layers import Layer, stack_layers
from fal_bench.learning.stacked.sgd import descend
from fal_bench.learning.stacked.state import StackedState
from fal_bench.learning.stacked.width import fixed_width
from fal_bench.needs import LocalTraining


class AutogradStep:
    """One SGD step of a network of stacked layers, in all slots.

    Args:
        network: the network.
        layers: its stacked layers.
        training: the recipe.
    """

    state: type[StackedState] = StackedState

    def __init__(self, network: nn.Module, layers: list[Layer], training: LocalTraining) -> None:
        self.fixed_width = fixed_width(network)
        self._layers = layers
        self._training = training

    @classmethod
    def of(cls, network: nn.Module, training: LocalTraining) -> AutogradStep | None:
        """Return the step of a network of known layers; None for any other."""
        layers = stack_layers(network)
        return None if layers is None else cls(network, layers, training)

    def __call__(self, state: StackedState, batch: Batch, lr: float | Tensor) -> Tensor:
        """Take the step; return the logits before it, shape (slots, rows, classes)."""
        moving = [state.weights[name].detach().requires_grad_() for name in state.parameters]
        weights = {**state.weights, **dict(zip(state.parameters, moving, strict=True))}
        activations = batch.by_lane.permute(0, 1, 3, 4, 2)
        for layer in self._layers:
            activations = layer(activations, weights, batch)
        logits = activations.detach()
        gradients = torch.autograd.grad(total_loss(activations, batch), moving)
        descend(state, list(gradients), self._training, lr)
        return logits


def total_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the sum over slots of their batches' mean cross-entropy.

    Slots share no parameter, so its gradient is every slot's own gradient.
    """
    log_probs = logits.log_softmax(2).gather(2, batch.labels.unsqueeze(2)).squeeze(2)
    return -(log_probs * batch.shares).sum()
