"""Perceptrons: a hand-written backward pass, fused with the update."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fal_bench.learning.kernels.batch import Batch, Outcome
from fal_bench.learning.kernels.chain import Chain
from fal_bench.learning.kernels.even import widened
from fal_bench.learning.kernels.sgd import (
    Pace,
    StackedState,
    descend_one,
    descend_product,
    logit_gradient,
)
from fal_bench.learning.request import trainer_of
from fal_bench.plugins.needs import LocalTraining


class MlpStep:
    """One SGD step of a chain of linear layers with ReLU between them, in all slots.

    ``W -= lr * d^T x`` is one ``baddbmm_``: gradients are never written to memory.

    Args:
        layers: names of its linear layers, first to last.
        training: the recipe.
    """

    state: type[StackedState] = StackedState

    def __init__(self, layers: list[str], training: LocalTraining) -> None:
        self._layers = layers
        self._training = training

    @classmethod
    def of(cls, chain: Chain, training: LocalTraining) -> MlpStep | None:
        """Return the step of such a chain, if its trainer mixes nothing; None otherwise."""
        if trainer_of(training).mixes_unlabelled is not None:
            return None
        linear = [name for name, layer in chain if isinstance(layer, nn.Linear)]
        expected = [nn.Flatten, *[nn.Linear, nn.ReLU] * (len(linear) - 1), nn.Linear]
        known = [type(layer) for _, layer in chain] == expected
        return cls(linear, training) if known else None

    @torch.no_grad()
    def __call__(self, state: StackedState, batch: Batch, pace: Pace) -> Outcome:
        """Take the step; return what the network said before it."""
        *inputs, logits = self._activations(state, batch)
        delta, losses = logit_gradient(logits, batch, self._training)
        for layer, seen in zip(reversed(self._layers), reversed(inputs), strict=True):
            below = None
            if layer != self._layers[0]:
                below = torch.bmm(delta, state.weights[f"{layer}.weight"])
                below = torch.ops.aten.threshold_backward(below, seen, 0)
            self._update(state, layer, delta, seen, pace)
            if below is not None:
                delta = below
        return Outcome(logits, losses)

    @torch.no_grad()
    def logits(self, state: StackedState, batch: Batch) -> Tensor:
        """Return what the network says, shape (slots, rows, outputs)."""
        return self._activations(state, batch)[-1]

    def _activations(self, state: StackedState, batch: Batch) -> list[Tensor]:
        """Return what each layer sees, and the logits."""
        inputs = [widened(batch.by_lane.flatten(2), self._features(state))]
        for layer in self._layers:
            weight, bias = state.weights[f"{layer}.weight"], state.weights[f"{layer}.bias"]
            output = torch.baddbmm(bias.unsqueeze(1), inputs[-1], weight.transpose(1, 2))
            inputs.append(output.relu_() if layer != self._layers[-1] else output)
        return inputs

    def _features(self, state: StackedState) -> int:
        return state.weights[f"{self._layers[0]}.weight"].shape[2]

    def _update(
        self, state: StackedState, layer: str, delta: Tensor, seen: Tensor, pace: Pace
    ) -> None:
        recipe = self._training
        descend_product(state, f"{layer}.weight", delta, seen, recipe, pace)
        descend_one(state, f"{layer}.bias", delta.sum(1), recipe, pace)
