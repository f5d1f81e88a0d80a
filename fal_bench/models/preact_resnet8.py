"""The pre-activation ResNet-8 of KAFAL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_bench.plugins.functions import model

if TYPE_CHECKING:
    from fal_bench.learning.network import Network

SMALLEST = 5
"""Side of an image whose last feature map has more than one pixel."""


@model(kinds=("image",))
def preact_resnet8(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    pre_activation: bool = False,
) -> Network:
    """KAFAL's ResNet-8 (Cao et al., ICCV 2023): three residual blocks of 16, 32 and 64 channels.

    Batch normalisation and ReLU follow the last block, then the mean over pixels and a linear head.
    The released code calls it a pre-activation ResNet (He et al., ECCV 2016), but its blocks
    normalise behind each convolution.

    Args:
        input_shape: (C, H, W) of one image.
        n_classes: number of outputs.
        pre_activation: whether blocks normalise before each convolution, as the name says, and not
            as the released code does.

    Raises:
        InvalidSpecError: images are so small that the last feature map has a single pixel, which a
            batch of one image cannot be normalised by.
    """
    from torch import nn

    from fal_bench.errors import InvalidSpecError
    from fal_bench.learning.network import Network
    from fal_bench.models._residual import PostActivation, PreActivation, convolution

    channels, *size = input_shape
    if min(size) < SMALLEST:
        raise InvalidSpecError(
            f"The preact_resnet8 needs images of at least {SMALLEST}x{SMALLEST}, not "
            f"{size[0]}x{size[1]}; use the cnn."
        )
    block = PreActivation if pre_activation else PostActivation
    body = nn.Sequential(
        convolution(channels, 16),
        block(16, 16, 1),
        block(16, 32, 2),
        block(32, 64, 2),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return Network(body, 64, n_classes)
