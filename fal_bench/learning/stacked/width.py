"""How many slots a block has, so that a lane's bits do not depend on it."""

from __future__ import annotations

from torch import nn

FIXED_WIDTH = 10
"""Slots of a block whose bits depend on their number; changing it changes bits."""


def fixed_width(network: nn.Module) -> int | None:
    """Return the number of slots that a network's blocks must have; None if any will do.

    Batched matrix products of even sizes give a slot the same bits beside any number of others.
    Odd sizes do not on some processors, so a network with an odd layer always runs in blocks of
    one width, empty slots included. The input of a convolution is padded to an even size.
    """
    for module in network.modules():
        sizes = []
        if isinstance(module, nn.Linear):
            sizes = [module.in_features, module.out_features]
        elif isinstance(module, nn.Conv2d):
            sizes = [module.out_channels]
        if any(size % 2 for size in sizes):
            return FIXED_WIDTH
    return None
