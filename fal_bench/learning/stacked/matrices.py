"""The weights of a convolutional network as matrices that multiply rows of windows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fal_bench.learning.model import Weights
from fal_bench.learning.stacked.state import StackedState, keeps_velocity
from fal_bench.plugins.needs import LocalTraining


class MatrixState(StackedState):
    """Each layer's kernels and bias as one matrix: a row per input, then one for the bias.

    The inputs of a convolution are ordered as (k, k, C), those of the head as (pixels, C): as
    activations lie in memory. An odd number of rows gets a row of zeros, which never moves.

    Args:
        network: convolutions and one linear layer, the last; all have a bias.
        training: the recipe.
        width: number of slots.

    Attributes:
        weights: by the layer's name, shape (width, rows, outputs).
        velocity: like the weights; empty if the recipe needs none.
    """

    def __init__(self, network: nn.Module, training: LocalTraining, width: int) -> None:
        kernels = {
            name: module.weight
            for name, module in network.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        }
        self.parameters = tuple(kernels)
        self.weights = {}
        self._shapes: dict[str, tuple[int, int, int]] = {}
        channels = 1
        for name, kernel in kernels.items():
            outputs, inputs = len(kernel), kernel[0].numel()
            channels = kernel.shape[1] if kernel.dim() == 4 else channels
            self._shapes[name] = (outputs, channels, inputs // channels)
            self.weights[name] = kernel.new_zeros(width, inputs + 1 + (inputs + 1) % 2, outputs)
            channels = outputs
        self._kernels = {name: kernel.shape for name, kernel in kernels.items()}
        keeps = keeps_velocity(training)
        self.velocity = {n: t.new_zeros(t.shape) for n, t in self.weights.items() if keeps}
        self.start = {}

    def load(self, slot: int, weights: Weights) -> None:
        """Start a slot from ``weights``, at rest."""
        for name, matrix in self.weights.items():
            kernels, bias = self._parts(name, matrix[slot])
            kernels.copy_(weights[f"{name}.weight"].view(self._shapes[name]))
            bias.copy_(weights[f"{name}.bias"])
        for velocity in self.velocity.values():
            velocity[slot] = 0

    def read(self, slot: int) -> Weights:
        """Return a copy of a slot's weights."""
        weights: Weights = {}
        for name, matrix in self.weights.items():
            kernels, bias = self._parts(name, matrix[slot])
            kernels = kernels.clone(memory_format=torch.contiguous_format)
            weights[f"{name}.weight"] = kernels.view(self._kernels[name])
            weights[f"{name}.bias"] = bias.clone()
        return weights

    def _parts(self, name: str, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Return views of a matrix: kernels, shape (outputs, channels, pixels), and bias."""
        outputs, channels, pixels = self._shapes[name]
        inputs = channels * pixels
        return matrix[:inputs].view(pixels, channels, outputs).permute(2, 1, 0), matrix[inputs]
