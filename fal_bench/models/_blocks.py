"""Blocks of convolution and pooling, which several models are made of."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from fal_bench.learning.network import Network


def convolutional(
    blocks: Sequence[int],
    input_shape: tuple[int, int, int],
    n_classes: int,
    dropout: float,
    normalise: bool = False,
) -> Network | None:
    """Return blocks of 3x3 convolution, ReLU and 2x2 max-pooling with a linear head.

    Args:
        blocks: output channels of each block.
        input_shape: (C, H, W) of one image.
        n_classes: number of outputs.
        dropout: share of the embedding that is dropped before the head in training.
        normalise: whether there is batch normalisation after each convolution.

    Returns:
        The network, or None if nothing is left of the images after so many blocks.
    """
    layers: list[nn.Module] = []
    channels, height, width = input_shape
    for block in blocks:
        layers.append(nn.Conv2d(channels, block, 3, padding=1))
        if normalise:
            layers.append(nn.BatchNorm2d(block))
        layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        channels, height, width = block, height // 2, width // 2
    if height == 0 or width == 0:
        return None
    layers.append(nn.Flatten())
    return Network(nn.Sequential(*layers), channels * height * width, n_classes, dropout)
