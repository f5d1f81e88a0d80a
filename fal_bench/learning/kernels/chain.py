"""The layers of a network, in the order in which they run."""

from __future__ import annotations

from torch import nn

from fal_bench.learning.chance import Dropout


def chain_of(network: nn.Module) -> list[tuple[str, nn.Module]]:
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
            if not _is_usual(module):
                raise TypeError(f"Layer {name!r} cannot be stacked: {module!r}.")
            chain.append((name, module))
        elif module is not network and type(module) is not nn.Sequential:
            raise TypeError(f"Block {name!r} cannot be stacked: {type(module).__name__}.")
    return chain


def _is_usual(layer: nn.Module) -> bool:
    """Whether a layer is of a known kind and has the options of the shipped networks."""
    if isinstance(layer, nn.Conv2d):
        usual: nn.Module = nn.Conv2d(
            layer.in_channels, layer.out_channels, 3, padding=1, device="meta"
        )
    elif isinstance(layer, nn.Linear):
        usual = nn.Linear(layer.in_features, layer.out_features, device="meta")
    elif isinstance(layer, nn.MaxPool2d):
        usual = nn.MaxPool2d(2)
    else:
        return type(layer) in (nn.ReLU, nn.Flatten, Dropout)
    return repr(layer) == repr(usual)
