"""Plain convolutional networks: a hand-written backward pass, fused with the update."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fal_bench.learning.network import Network
from fal_bench.learning.request import augmentation_of, trainer_of
from fal_bench.learning.stacked.batch import Batch, Samples
from fal_bench.learning.stacked.loss import logit_gradient
from fal_bench.learning.stacked.matrices import MatrixState
from fal_bench.learning.stacked.outcome import Outcome
from fal_bench.learning.stacked.sgd import descend_product
from fal_bench.learning.stacked.state import StackedState
from fal_bench.learning.stacked.windows import SampleWindows
from fal_bench.learning.stacked.workspace import Workspace
from fal_bench.plugins.needs import LocalTraining


class CnnStep:
    """One SGD step of blocks of convolution, ReLU and pooling under a linear head, in all slots.

    A layer is one batched matrix product with the bias inside; the product that is its gradient
    is added to the weights at once. Memory is kept from step to step.

    Args:
        layers: names of its convolutions and of its head, first to last.
        training: the recipe.
    """

    state: type[StackedState] = MatrixState
    fixed_width: int | None = None

    def __init__(self, layers: list[str], training: LocalTraining) -> None:
        self._layers = layers
        self._training = training
        self._samples: Samples | None = None
        self._windows: SampleWindows | None = None
        self._workspace: Workspace | None = None

    @classmethod
    def of(cls, network: nn.Module, training: LocalTraining) -> CnnStep | None:
        """Return the step of such a network on plain samples; None for anything else."""
        if trainer_of(training).mixes_unlabelled is not None:
            return None
        if augmentation_of(training) != "none":  # windows of samples are prepared once
            return None
        if type(network) is not Network or type(network.body) is not nn.Sequential:
            return None
        leaves = [(n, layer) for n, layer in network.named_modules() if not any(layer.children())]
        layers = [name for name, layer in leaves if isinstance(layer, nn.Conv2d | nn.Linear)]
        blocks = [nn.Conv2d, nn.ReLU, nn.MaxPool2d] * (len(layers) - 1)
        chain = [type(layer) for _, layer in leaves] == [*blocks, nn.Flatten, nn.Linear]
        known = chain and len(layers) > 1 and all(_is_usual(layer) for _, layer in leaves)
        return cls(layers, training) if known else None

    @torch.no_grad()
    def __call__(self, state: StackedState, batch: Batch, lr: float | Tensor) -> Outcome:
        """Take the step; return what the network said before it."""
        space = self._space(state, batch)
        self._windows_of(batch.samples).gather(batch.index, space.blocks[0].inputs)
        blocks = list(zip(self._layers[:-1], space.blocks, strict=True))
        for layer, block in blocks:
            block.forward(state.weights[layer])
        layer = self._layers[-1]
        logits = torch.bmm(space.head.inputs, state.weights[layer])
        delta, losses = logit_gradient(logits, batch, self._training)
        gradient: Tensor | None = space.head.backward(delta, state.weights[layer])
        descend_product(state, layer, space.head.inputs, delta, self._training, lr)
        for layer, block in reversed(blocks):
            assert gradient is not None
            gradient = block.backward(gradient, state.weights[layer])
            descend_product(state, layer, block.inputs, block.delta, self._training, lr)
        return Outcome(logits, losses)

    def _windows_of(self, samples: Samples) -> SampleWindows:
        """Return the windows of a block's samples, prepared at its first step."""
        if self._windows is None or self._samples is not samples:
            self._samples, self._windows = samples, SampleWindows(samples.features)
        return self._windows

    def _space(self, state: StackedState, batch: Batch) -> Workspace:
        """Return a workspace for a batch: the last one if it fits."""
        slots, rows = batch.rows.shape
        colours, height, width = batch.samples.features.shape[1:]
        shape = (slots, rows, colours, height, width)
        if self._workspace is None or self._workspace.shape != shape:
            matrices = [state.weights[layer] for layer in self._layers[:-1]]
            channels = [matrix.shape[2] for matrix in matrices]
            self._workspace = Workspace(matrices[0], shape, channels)
        return self._workspace


def _is_usual(layer: nn.Module) -> bool:
    """Whether a layer has the options that the shipped network uses."""
    if isinstance(layer, nn.Conv2d):
        usual: nn.Module = nn.Conv2d(
            layer.in_channels, layer.out_channels, 3, padding=1, device="meta"
        )
    elif isinstance(layer, nn.Linear):
        usual = nn.Linear(layer.in_features, layer.out_features, device="meta")
    else:
        usual = nn.MaxPool2d(2) if isinstance(layer, nn.MaxPool2d) else type(layer)()
    return repr(layer) == repr(usual)
