"""Plain convolutional networks: a hand-written backward pass, fused with the update."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fal_bench.learning.kernels.batch import Batch, Outcome, Samples
from fal_bench.learning.kernels.chain import Chain
from fal_bench.learning.kernels.even import even
from fal_bench.learning.kernels.sgd import Pace, StackedState, descend_product, logit_gradient
from fal_bench.learning.kernels.windows import SampleWindows
from fal_bench.learning.kernels.workspace import Workspace
from fal_bench.learning.model import Weights
from fal_bench.learning.request import augmentation_of, trainer_of
from fal_bench.plugins.needs import LocalTraining


class MatrixState(StackedState):
    """Each layer's kernels and bias as one matrix: a row per input, then one for the bias.

    The inputs of a convolution are ordered as (k, k, C), those of the head as (pixels, C): as
    activations lie in memory. An odd number of rows gets a row of zeros, which never moves.

    Args:
        network: convolutions and one linear layer, the last; all have a bias.
        training: the recipe.
        width: number of slots.
        corrected: see ``StackedState``.

    Attributes:
        weights: by the layer's name, shape (width, rows, outputs); so is what moves them.
    """

    def __init__(
        self, network: nn.Module, training: LocalTraining, width: int, corrected: bool = False
    ) -> None:
        kernels = {
            name: module.weight
            for name, module in network.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        }
        self._shapes: dict[str, tuple[int, int, int]] = {}
        matrices = {}
        channels = 1
        for name, kernel in kernels.items():
            outputs, inputs = len(kernel), kernel[0].numel()
            channels = kernel.shape[1] if kernel.dim() == 4 else channels
            self._shapes[name] = (outputs, channels, inputs // channels)
            matrices[name] = torch.Size([even(inputs + 1), outputs])
            channels = outputs
        self._kernels = {name: kernel.shape for name, kernel in kernels.items()}
        self._allocate(next(network.parameters()), training, width, matrices, corrected)

    def _laid_out(self, weights: Weights) -> Weights:
        """Return weights of one lane as matrices."""
        laid = {name: like.new_zeros(like.shape[1:]) for name, like in self.weights.items()}
        for name, matrix in laid.items():
            kernels, bias = self._parts(name, matrix.unsqueeze(0))
            kernels.copy_(weights[f"{name}.weight"].view(self._shapes[name]))
            bias.copy_(weights[f"{name}.bias"])
        return laid

    def _rows(self, tensors: Weights, slots: list[int]) -> Weights:
        """Return slots of stacked matrices as weights, one row a slot."""
        weights: Weights = {}
        for name, tensor in tensors.items():
            kernels, bias = self._parts(name, self._chosen(tensor, slots))
            weights[f"{name}.weight"] = kernels.reshape(len(slots), *self._kernels[name])
            weights[f"{name}.bias"] = bias
        return weights

    def _parts(self, name: str, matrices: Tensor) -> tuple[Tensor, Tensor]:
        """Return views of matrices: kernels, (slots, outputs, channels, pixels), and bias."""
        outputs, channels, pixels = self._shapes[name]
        inputs = channels * pixels
        kernels = matrices[:, :inputs].view(-1, pixels, channels, outputs)
        return kernels.permute(0, 3, 2, 1), matrices[:, inputs]


class CnnStep:
    """One SGD step of blocks of convolution, ReLU and pooling under a linear head, in all slots.

    A layer is one batched matrix product with the bias inside; the product that is its gradient
    is added to the weights at once. Memory is kept from step to step.

    Args:
        layers: names of its convolutions and of its head, first to last.
        training: the recipe.
    """

    state: type[StackedState] = MatrixState

    def __init__(self, layers: list[str], training: LocalTraining) -> None:
        self._layers = layers
        self._training = training
        self._samples: Samples | None = None
        self._windows: SampleWindows | None = None
        self._workspaces: dict[str, Workspace] = {}

    @classmethod
    def of(cls, chain: Chain, training: LocalTraining) -> CnnStep | None:
        """Return the step of such a network on plain samples; None for anything else."""
        if trainer_of(training).mixes_unlabelled is not None:
            return None
        if augmentation_of(training) != "none":  # windows of samples are prepared once
            return None
        if any(isinstance(layer, nn.Conv2d) and layer.kernel_size != (3, 3) for _, layer in chain):
            return None
        layers = [name for name, layer in chain if isinstance(layer, nn.Conv2d | nn.Linear)]
        blocks = [nn.Conv2d, nn.ReLU, nn.MaxPool2d] * (len(layers) - 1)
        known = [type(layer) for _, layer in chain] == [*blocks, nn.Flatten, nn.Linear]
        return cls(layers, training) if known and blocks else None

    @torch.no_grad()
    def __call__(self, state: StackedState, batch: Batch, pace: Pace) -> Outcome:
        """Take the step; return what the network said before it."""
        space = self._space("training", state, batch)
        logits = self._forward(space, state, batch)
        blocks = list(zip(self._layers[:-1], space.blocks, strict=True))
        layer = self._layers[-1]
        delta, losses = logit_gradient(logits, batch, self._training)
        gradient: Tensor | None = space.head.backward(delta, state.weights[layer])
        descend_product(state, layer, space.head.inputs, delta, self._training, pace)
        for layer, block in reversed(blocks):
            assert gradient is not None
            gradient = block.backward(gradient, state.weights[layer])
            descend_product(state, layer, block.inputs, block.delta, self._training, pace)
        return Outcome(logits, losses)

    @torch.no_grad()
    def logits(self, state: StackedState, batch: Batch) -> Tensor:
        """Return what the network says, shape (slots, rows, outputs)."""
        return self._forward(self._space("evaluation", state, batch), state, batch)

    def _forward(self, space: Workspace, state: StackedState, batch: Batch) -> Tensor:
        """Compute the blocks of a workspace; return the logits."""
        self._windows_of(batch.samples).gather(batch.index, space.blocks[0].inputs)
        for layer, block in zip(self._layers[:-1], space.blocks, strict=True):
            block.forward(state.weights[layer])
        return torch.bmm(space.head.inputs, state.weights[self._layers[-1]])

    def _windows_of(self, samples: Samples) -> SampleWindows:
        """Return the windows of a block's samples, prepared at its first step."""
        if self._windows is None or self._samples is not samples:
            self._samples, self._windows = samples, SampleWindows(samples.features)
        return self._windows

    def _space(self, purpose: str, state: StackedState, batch: Batch) -> Workspace:
        """Return a workspace for a batch: the last one of this purpose if it fits."""
        slots, rows = batch.rows.shape
        colours, height, width = batch.samples.features.shape[1:]
        shape = (slots, rows, colours, height, width)
        last = self._workspaces.get(purpose)
        if last is None or last.shape != shape:
            matrices = [state.weights[layer] for layer in self._layers[:-1]]
            channels = [matrix.shape[2] for matrix in matrices]
            self._workspaces[purpose] = last = Workspace(matrices[0], shape, channels)
        return last
