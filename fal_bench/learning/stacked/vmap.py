"""Any small network: ``torch.func.vmap`` over its functional form."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call, vmap

from fal_bench.errors import InvalidSpecError
from fal_bench.learning.model import Weights
from fal_bench.learning.stacked.autograd import AutogradStep, Forward
from fal_bench.learning.stacked.layers import Rows
from fal_bench.learning.stacked.width import FIXED_WIDTH
from fal_bench.needs import LocalTraining

STATEFUL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


class VmapStep(AutogradStep):
    """One SGD step of any network without layers that mix samples or draw numbers.

    Args:
        network: called as ``network(features)``; its own weights are not used.
        training: the recipe.

    Raises:
        InvalidSpecError: it has batch normalisation (padding would count as samples) or dropout
            (its stream could not follow the lane).
    """

    def __init__(self, network: nn.Module, training: LocalTraining) -> None:
        for name, module in network.named_modules():
            if isinstance(module, STATEFUL):
                raise InvalidSpecError(
                    f"Layer {name!r} ({type(module).__name__}) cannot be stacked; train this "
                    "network with the sequential engine."
                )
        # Nobody knows which operations a network uses, so its blocks have one width.
        super().__init__(_mapped(network), FIXED_WIDTH, training)


def _mapped(network: nn.Module) -> Forward:
    def call(weights: Weights, features: Tensor) -> Tensor:
        logits: Tensor = functional_call(network, weights, (features,))
        return logits

    over_slots = vmap(call)

    def forward(rows: Rows, weights: Weights) -> Tensor:
        logits: Tensor = over_slots(weights, rows.by_lane)
        return logits

    return forward
