"""Even sizes, so that a slot's bits depend neither on its place nor on its company.

Slots lie side by side in memory. Where all sizes are even, every slot's matrices start at a
multiple of 16 bytes. Where they are not, some start between, and the matrix products of some
processors then round otherwise. So what is odd gets one more, which is zero: nothing flows through
it, and it never moves.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from fal_bench.learning.model import Weights


def even(size: int) -> int:
    """Return a size, or the next one if it is odd."""
    return size + size % 2


def widened(tensor: Tensor, size: int) -> Tensor:
    """Return a tensor with zeros behind its last axis, up to ``size``."""
    missing = size - tensor.shape[-1]
    return pad(tensor, [0, missing]) if missing else tensor


def is_odd(layer: nn.Module) -> bool:
    """Whether a layer's matrices have a side of odd length."""
    if isinstance(layer, nn.Linear):
        return bool(layer.in_features % 2 or layer.out_features % 2)
    # The windows that a convolution sees are padded where they are laid out.
    return isinstance(layer, nn.Conv2d) and bool(layer.out_channels % 2)


class EvenNetwork:
    """A network whose layers have even sizes, and the way there and back for weights.

    Args:
        network: a chain of layers that can be stacked; left as it is.

    Attributes:
        network: the even one; the given network itself if nothing in it is odd.
    """

    def __init__(self, network: nn.Module) -> None:
        odd = any(is_odd(layer) for layer in network.modules())
        self.network = _evened(network) if odd else network
        self._same = not odd
        self._given_shapes = {name: t.shape for name, t in network.state_dict().items()}
        self._shapes = {name: t.shape for name, t in self.network.state_dict().items()}

    def widen(self, weights: Weights) -> Weights:
        """Return weights of the given network as weights of the even one."""
        if self._same:
            return weights
        return {name: _grown(tensor, self._shapes[name]) for name, tensor in weights.items()}

    def narrow(self, weights: Weights) -> Weights:
        """Return stacked weights of the even network as those of the given one: views of them."""
        if self._same:
            return weights
        return {name: _cut(tensor, self._given_shapes[name]) for name, tensor in weights.items()}


def _evened(network: nn.Module) -> nn.Module:
    """Return a copy with even sizes and weights of any value."""
    wider = copy.deepcopy(network)
    below: _Outputs | None = None
    for name, layer in list(wider.named_modules()):
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        # On the meta device, because PyTorch's own initialisation draws from the global stream.
        with torch.device("meta"):
            new, below = _evened_layer(layer, below)
        # ``new.to_empty`` would import SymPy, which takes half a second.
        for part, meta in list(new.named_parameters()):
            setattr(new, part, nn.Parameter(layer.weight.data.new_empty(meta.shape)))
        wider.set_submodule(name, new)
    return wider


@dataclass(frozen=True)
class _Outputs:
    """Channels or features of the layer below: as given, and as made."""

    given: int
    made: int


def _evened_layer(
    layer: nn.Linear | nn.Conv2d, below: _Outputs | None
) -> tuple[nn.Module, _Outputs]:
    if isinstance(layer, nn.Conv2d):
        inputs = layer.in_channels if below is None else below.made
        outputs = _Outputs(layer.out_channels, even(layer.out_channels))
        high, wide = layer.kernel_size
        border = (high // 2, wide // 2)
        return nn.Conv2d(inputs, outputs.made, (high, wide), padding=border), outputs
    # Images flatten channel by channel, so that those of a new channel come last.
    features = layer.in_features
    features = even(features) if below is None else features // below.given * below.made
    outputs = _Outputs(layer.out_features, even(layer.out_features))
    return nn.Linear(features, outputs.made), outputs


def _grown(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor with zeros behind its last entries."""
    missing = [(0, wanted - size) for wanted, size in zip(shape, tensor.shape, strict=True)]
    return pad(tensor, [number for side in reversed(missing) for number in side])


def _cut(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the first entries of every row of a stacked tensor."""
    return tensor[(slice(None), *(slice(size) for size in shape))]
