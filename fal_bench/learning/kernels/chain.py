"""The layers of a network, in the order in which they run."""

from __future__ import annotations

from torch import nn

from fal_bench.learning.chance import Dropout

Chain = list[tuple[str, nn.Module]]
"""Names and layers, first to last."""

ALONG_TIME = (1, 2)
"""The kernel of a max-pooling that halves a series, whose height is 1."""


def chain_of(network: nn.Module) -> Chain:
    """Return the names and layers of a network that can be stacked.

    Args:
        network: runs its layers one after the other, in the order of their definition, as
            ``fal_bench.learning.network.Network`` does with a sequential body.

    Raises:
        TypeError: a layer, or one of its options, is none that the steps are written for.
    """
    chain = []
    for name, module in network.named_modules():
        if not any(True for _ in module.children()):
            if not is_usual(module):
                raise TypeError(f"Layer {name!r} cannot be stacked: {module!r}.")
            chain.append((name, module))
        elif module is not network and type(module) is not nn.Sequential:
            raise TypeError(f"Block {name!r} cannot be stacked: {type(module).__name__}.")
    return chain


def is_usual(layer: nn.Module) -> bool:
    """Whether a layer is of a known kind and has the options of the shipped networks."""
    if isinstance(layer, nn.Conv2d):
        height, width = layer.kernel_size
        usual = (height, width) == (3, 3) or (height == 1 and width % 2 == 1)
        shape = (layer.stride, layer.padding, layer.dilation, layer.groups)
        plain = shape == ((1, 1), (height // 2, width // 2), (1, 1), 1)
        return usual and plain and layer.padding_mode == "zeros" and layer.bias is not None
    if isinstance(layer, nn.Linear):
        return layer.bias is not None
    if isinstance(layer, nn.MaxPool2d):
        plain = (layer.padding, layer.dilation, layer.ceil_mode) == (0, 1, False)
        return plain and layer.kernel_size == layer.stride and layer.kernel_size in (2, ALONG_TIME)
    return type(layer) in (nn.ReLU, nn.Flatten, Dropout)
