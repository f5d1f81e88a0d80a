"""Any small network: ``torch.func.vmap`` over its functional form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from fal_bench.errors import InvalidSpecError
from fal_bench.learning.model import Weights
from fal_bench.learning.stacked.batch import Batch
from fal_bench.learning.stacked.sgd import descend
from fal_bench.learning.stacked.state import StackedState
from fal_bench.learning.stacked.width import FIXED_WIDTH
from fal_bench.needs import LocalTraining

STATEFUL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


class VmapStep:
    """One SGD step of any network without layers that mix samples or draw numbers.

    Args:
        network: called as ``network(features)``; its own weights are not used.
        training: the recipe.

    Raises:
        InvalidSpecError: it has batch normalisation (padding would count as samples) or dropout
            (its stream could not follow the lane).
    """

    state: type[StackedState] = StackedState
    fixed_width: int | None = FIXED_WIDTH  # nobody knows which operations a network uses

    def __init__(self, network: nn.Module, training: LocalTraining) -> None:
        for name, module in network.named_modules():
            if isinstance(module, STATEFUL):
                raise InvalidSpecError(
                    f"Layer {name!r} ({type(module).__name__}) cannot be stacked; train this "
                    "network with the sequential engine."
                )
        self._training = training
        self._gradient: Callable[..., tuple[Weights, Tensor]] = vmap(
            grad(lambda *arguments: _loss(network, *arguments), has_aux=True)
        )

    def __call__(self, state: StackedState, batch: Batch, lr: float | Tensor) -> Tensor:
        """Take the step; return the logits before it, shape (slots, rows, classes)."""
        parameters = {name: state.weights[name] for name in state.parameters}
        buffers = {name: t for name, t in state.weights.items() if name not in parameters}
        gradients, logits = self._gradient(
            parameters, buffers, batch.by_lane, batch.labels, batch.shares
        )
        ordered = [gradients[name].detach() for name in state.parameters]
        descend(state, ordered, self._training, lr)
        return logits.detach()


def _loss(
    network: nn.Module,
    parameters: Weights,
    buffers: Weights,
    features: Tensor,
    labels: Tensor,
    shares: Tensor,
) -> tuple[Tensor, Tensor]:
    logits: Tensor = functional_call(network, (parameters, buffers), (features,))
    log_probs = torch.gather(logits.log_softmax(1), 1, labels.unsqueeze(1)).squeeze(1)
    return -(log_probs * shares).sum(), logits
