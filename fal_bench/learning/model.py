"""A trained model as the rest of the suite sees it: an architecture and its weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fal_bench.learning.device import CPU
from fal_bench.learning.network import Network, fresh_weights, network
from fal_bench.learning.pretrained import resnet18_start
from fal_bench.task import ModelSpec, Resnet18

Weights = dict[str, Tensor]
"""Parameters and buffers by name; never changed in place once handed out."""


@dataclass(frozen=True)
class Architecture:
    """What a model looks like, without its weights.

    Attributes:
        spec: the task's model.
        input_shape: (C, H, W) of one sample.
        n_classes: number of outputs.
        device: where it is computed (``fal_bench.learning.device``).
    """

    spec: ModelSpec
    input_shape: tuple[int, int, int]
    n_classes: int
    device: str = CPU

    @property
    def network(self) -> Network:
        """This process's one network of this architecture, as scratch space."""
        return network(self.spec, self.input_shape, self.n_classes, self.device)

    def fresh(self, generator: torch.Generator) -> Model:
        """Return a freshly initialised model drawn from ``generator``.

        Raises:
            DataError: it starts from pre-trained weights that are not there.
        """
        weights = fresh_weights(self.network, generator)
        if isinstance(self.spec, Resnet18):
            weights |= resnet18_start(self.spec, self.input_shape[0])
        return self.with_weights(weights)

    def with_weights(self, weights: Weights) -> Model:
        """Return a model with weights from anywhere, on this architecture's device."""
        return Model(self, {name: tensor.to(self.device) for name, tensor in weights.items()})


@dataclass(frozen=True, eq=False)
class Model:
    """An architecture with weights; strategies pass it around without looking inside.

    Attributes:
        architecture: what it looks like.
        weights: its parameters and buffers.
    """

    architecture: Architecture
    weights: Weights

    def module(self) -> Network:
        """Return a network of its own that holds a copy of the weights, on the processor."""
        own = copy.deepcopy(replace(self.architecture, device=CPU).network)
        own.load_state_dict(self.weights)
        return own

    @property
    def nbytes(self) -> int:
        """Bytes that one transfer of the weights costs."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.weights.values())
