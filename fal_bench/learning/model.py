"""A trained model as the rest of the suite sees it: an architecture and its weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fal_bench.errors import message_of
from fal_bench.learning.device import CPU
from fal_bench.learning.network import Network, build, fresh_weights, is_ours, seeded
from fal_bench.plugins.built_in import MODEL, built_in
from fal_bench.plugins.functions import ModelTraits, arguments, traits_of
from fal_bench.plugins.registry import current_registry
from fal_bench.task import ModelSpec

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
        function: what builds it; the model of that name in the registry in use if None.
    """

    spec: ModelSpec
    input_shape: tuple[int, int, int]
    n_classes: int
    device: str = CPU
    function: Any = None

    def __post_init__(self) -> None:
        if self.function is None:
            function = current_registry().models.load(self.spec.kind)
            object.__setattr__(self, "function", function)

    @property
    def traits(self) -> ModelTraits:
        """How it is trained."""
        traits = traits_of(self.function)
        assert isinstance(traits, ModelTraits)
        return traits

    @property
    def network(self) -> Network:
        """This process's one network of this architecture, as scratch space.

        Raises:
            InvalidSpecError: the input is too small for the model, or has other channels.
            PluginError: a plugin's model cannot be built.
        """
        return _network(self)

    @property
    def nbytes(self) -> int:
        """Bytes of a model's weights; falbench's own models take no memory to find out."""
        if built_in(MODEL, self.spec.kind) is self.function:
            with torch.device("meta"):
                network = self.build()
        else:
            network = self.network
        return _nbytes(network.state_dict())

    def build(self, seed: int = 0) -> Network:
        """Build a network on the processor; see ``fal_bench.learning.network.build``."""
        params = arguments(self.function, self.spec.params)
        return build(self.spec.kind, self.function, self.input_shape, self.n_classes, params, seed)

    def fresh(self, generator: torch.Generator) -> Model:
        """Return a freshly initialised model drawn from ``generator``.

        Raises:
            DataError: it starts from pre-trained weights that are not there.
        """
        network = self.network
        if is_ours(network):
            weights = fresh_weights(network, generator)
            if network.start is not None:
                weights |= network.start()
            return self.with_weights(weights)
        seed = int(torch.randint(2**62, (), generator=generator))
        return self.with_weights(dict(self.build(seed).state_dict()))

    def fault_of_single_samples(self) -> str | None:
        """Say why it cannot be trained on a batch of one sample; None if it can."""
        network = self.build().train()
        with seeded(0), torch.no_grad():
            try:
                logits = network(torch.zeros(1, *self.input_shape))
            except Exception as error:  # whatever a layer of a plugin raises
                return message_of(error)
        return None if bool(logits.isfinite().all()) else "its outputs are not finite then"

    def with_weights(self, weights: Weights) -> Model:
        """Return a model with weights from anywhere, on this architecture's device."""
        return Model(self, {name: tensor.to(self.device) for name, tensor in weights.items()})


@lru_cache(maxsize=16)
def _network(architecture: Architecture) -> Network:
    return architecture.build().to(architecture.device)


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
        return _nbytes(self.weights)


def _nbytes(weights: Weights) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
