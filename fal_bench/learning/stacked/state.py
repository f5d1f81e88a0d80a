"""The weights and velocities of a block, stacked over its slots."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fal_bench.learning.model import Weights
from fal_bench.learning.request import trainer_of
from fal_bench.plugins.needs import LocalTraining


class StackedState:
    """What moves while a block trains.

    Args:
        network: gives the names and shapes.
        training: the recipe; it decides whether velocities are kept.
        width: number of slots.

    Attributes:
        weights: parameters and buffers by name, shape (width, ...).
        parameters: names of the parameters.
        velocity: of each parameter, shape (width, ...); empty if the recipe needs none.
        start: the weights that each slot started from; empty if the trainer never asks for them.
    """

    def __init__(self, network: nn.Module, training: LocalTraining, width: int) -> None:
        self.weights = {
            name: torch.zeros(width, *tensor.shape, dtype=tensor.dtype, device=tensor.device)
            for name, tensor in network.state_dict().items()
        }
        self.parameters = tuple(name for name, _ in network.named_parameters())
        self.velocity: dict[str, Tensor] = {}
        if keeps_velocity(training):
            self.velocity = {name: torch.zeros_like(self.weights[name]) for name in self.parameters}
        self.start: Weights = {}
        if trainer_of(training).mixes_unlabelled is not None:
            self.start = {name: tensor.clone() for name, tensor in self.weights.items()}

    def load(self, slot: int, weights: Weights) -> None:
        """Start a slot from ``weights``, at rest."""
        for name, tensor in self.weights.items():
            tensor[slot] = weights[name]
        for velocity in self.velocity.values():
            velocity[slot] = 0
        for name, tensor in self.start.items():
            tensor[slot] = weights[name]

    def read(self, slot: int) -> Weights:
        """Return a copy of a slot's weights."""
        return {name: tensor[slot].clone() for name, tensor in self.weights.items()}

    def keep(self, slots: list[int]) -> None:
        """Make the block narrower: only ``slots`` stay, in this order."""
        index = torch.tensor(slots, device=next(iter(self.weights.values())).device)
        self.weights = {name: t.index_select(0, index) for name, t in self.weights.items()}
        self.velocity = {name: t.index_select(0, index) for name, t in self.velocity.items()}
        self.start = {name: t.index_select(0, index) for name, t in self.start.items()}


def keeps_velocity(training: LocalTraining) -> bool:
    """Whether a recipe's update is not simply the gradient times one learning rate."""
    return bool(training.momentum) or training.lr_drop_step is not None
