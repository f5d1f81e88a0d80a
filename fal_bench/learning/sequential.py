"""The sequential engine: one lane after the other, data resident in tensors, no data loader.

For networks whose layers are large enough to keep the processor busy; convolutions run in
channels-last layout, which is faster there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fal_bench.learning.model import Weights
from fal_bench.learning.network import Network
from fal_bench.learning.request import LR_DROP, Lane, batches
from fal_bench.needs import LocalTraining


def train_sequentially(
    network: Network, training: LocalTraining, lanes: Sequence[Lane]
) -> tuple[Weights, ...]:
    """Train every lane and return its weights, in order.

    Args:
        network: scratch space; its weights are overwritten.
        training: the recipe.
        lanes: the trainings.
    """
    network.train()
    network.to(memory_format=torch.channels_last)
    return tuple(_train_lane(network, lane, training) for lane in lanes)


def _train_lane(network: Network, lane: Lane, training: LocalTraining) -> Weights:
    if len(lane.labels) == 0:
        return lane.start
    network.load_state_dict(lane.start)
    optimiser = _Sgd(list(network.parameters()), training)
    for _ in range(training.epochs):
        correct = _train_epoch(network, lane, training, optimiser)
        if training.stop_at_accuracy is not None and correct >= training.stop_at_accuracy:
            break
    return {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }


def _train_epoch(network: Network, lane: Lane, training: LocalTraining, optimiser: _Sgd) -> float:
    """Run one epoch; return the accuracy of its batches before their updates (0 if not needed)."""
    correct = 0
    order = batches(len(lane.labels), training.batch_size, lane.rng)
    for chosen in map(torch.from_numpy, order):
        labels = lane.labels[chosen]
        images = lane.features[chosen].contiguous(memory_format=torch.channels_last)
        logits = network(images)
        optimiser.step(torch.autograd.grad(cross_entropy(logits, labels), optimiser.parameters))
        if training.stop_at_accuracy is not None:
            correct += int((logits.argmax(1) == labels).sum())
    return correct / len(lane.labels)


class _Sgd:
    """SGD as in ``torch.optim.SGD``, without its bookkeeping per step."""

    def __init__(self, parameters: list[Tensor], training: LocalTraining) -> None:
        self.parameters = parameters
        self._training = training
        self._velocity: list[Tensor] | None = None
        self._steps = 0

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...]) -> None:
        recipe = self._training
        update = list(gradients)
        if recipe.weight_decay:
            torch._foreach_add_(update, self.parameters, alpha=recipe.weight_decay)
        if recipe.momentum:
            if self._velocity is None:
                self._velocity = update
            else:
                torch._foreach_mul_(self._velocity, recipe.momentum)
                torch._foreach_add_(self._velocity, update)
            update = self._velocity
        dropped = recipe.lr_drop_step is not None and self._steps >= recipe.lr_drop_step
        lr = recipe.lr * (LR_DROP if dropped else 1.0)
        torch._foreach_add_(self.parameters, update, alpha=-lr)
        self._steps += 1
