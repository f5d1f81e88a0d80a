"""Any network and any loss: one autograd call for all slots."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fal_bench.learning.device import on_device
from fal_bench.learning.model import Weights
from fal_bench.learning.request import mixture_losses, sample_losses, trainer_of
from fal_bench.learning.stacked.batch import Batch
from fal_bench.learning.stacked.layers import Layer, Rows, stack_layers
from fal_bench.learning.stacked.outcome import Outcome
from fal_bench.learning.stacked.sgd import descend
from fal_bench.learning.stacked.state import StackedState
from fal_bench.plugins.needs import LocalTraining
from fal_bench.plugins.trainer import MixedBatch

Forward = Callable[[Rows, Weights], Tensor]
"""Maps the rows of all slots and their stacked weights to logits (slots, rows, classes)."""


class AutogradStep:
    """One SGD step in all slots.

    Args:
        forward: the network.
        training: the recipe.
    """

    state: type[StackedState] = StackedState
    fixed_width: int | None = None

    def __init__(self, forward: Forward, training: LocalTraining) -> None:
        self._forward = forward
        self._training = training
        self._trainer = trainer_of(training)

    @classmethod
    def of(cls, network: nn.Module, training: LocalTraining) -> AutogradStep | None:
        """Return the step of a network of known layers; None for any other."""
        layers = stack_layers(network)
        return None if layers is None else cls(_chain(layers), training)

    def __call__(self, state: StackedState, batch: Batch, lr: float | Tensor) -> Outcome:
        """Take the step; return what the network said before it."""
        moving = [state.weights[name].detach().requires_grad_() for name in state.parameters]
        weights = {**state.weights, **dict(zip(state.parameters, moving, strict=True))}
        logits = batch.known(self._forward(batch, weights))
        losses = sample_losses(self._trainer, logits, batch.local())
        # Slots share no parameter, so the sum's gradient is every slot's own gradient.
        loss = (losses * batch.shares).sum()
        if batch.mixed is not None:
            loss = loss + self._mixed_loss(state, batch, weights)
        gradients = torch.autograd.grad(loss, moving)
        descend(state, list(gradients), self._training, lr)
        return Outcome(logits.detach(), losses.detach() * batch.inside)

    def _mixed_loss(self, state: StackedState, batch: Batch, weights: Weights) -> Tensor:
        mixed = batch.mixed
        assert mixed is not None
        with torch.no_grad():
            start_logits = batch.known(self._forward(mixed.for_start(), state.start))
        device = start_logits.device
        told = MixedBatch(
            weight=on_device(mixed.weight, device),
            partner=on_device(mixed.partner, device),
            class_counts=on_device(batch.class_counts, device),
            round=on_device(batch.round, device),
            start_logits=start_logits,
        )
        logits = batch.known(self._forward(mixed, weights))
        losses = mixture_losses(self._trainer, logits, told)
        return (losses * mixed.shares).sum()


def _chain(layers: list[Layer]) -> Forward:
    def forward(rows: Rows, weights: Weights) -> Tensor:
        activations = rows.by_lane.permute(0, 1, 3, 4, 2)
        for layer in layers:
            activations = layer(activations, weights, rows)
        return activations

    return forward
