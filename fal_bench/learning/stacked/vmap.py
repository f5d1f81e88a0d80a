"""Any small network: ``torch.func.vmap`` over its functional form."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call, vmap

from fal_bench.errors import InvalidSpecError
from fal_bench.learning.model import Weights
from fal_bench.learning.stacked.autograd import AutogradStep, Forward
from fal_bench.learning.stacked.even_network import is_odd
from fal_bench.learning.stacked.layers import Rows
from fal_bench.plugins.needs import LocalTraining

FIXED_WIDTH = 10
"""Slots of a block: nobody knows which operations a network uses, so it does not vary."""

STATEFUL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


class VmapStep(AutogradStep):
    """One SGD step of any network without layers that mix samples or draw numbers.

    Args:
        network: called as ``network(features)``; its own weights are not used.
        training: the recipe.

    Raises:
        InvalidSpecError: it has batch normalisation (padding would count as samples) or dropout
            (its stream could not follow the lane), or a layer of odd size.
    """

    fixed_width: int | None = FIXED_WIDTH

    def __init__(self, network: nn.Module, training: LocalTraining) -> None:
        for name, module in network.named_modules():
            if isinstance(module, STATEFUL):
                raise InvalidSpecError(
                    f"Layer {name!r} ({type(module).__name__}) cannot be stacked; train this "
                    "network with the sequential engine."
                )
            if is_odd(module):
                raise InvalidSpecError(
                    f"Layer {name!r} has an odd number of features or channels, and its bits would "
                    "depend on what is trained beside it; make it even, or train this network with "
                    "the sequential engine."
                )
        super().__init__(_mapped(network), training)


def _mapped(network: nn.Module) -> Forward:
    def call(weights: Weights, features: Tensor) -> Tensor:
        logits: Tensor = functional_call(network, weights, (features,))
        return logits

    over_slots = vmap(call)

    def forward(rows: Rows, weights: Weights) -> Tensor:
        logits: Tensor = over_slots(weights, rows.by_lane)
        return logits

    return forward
