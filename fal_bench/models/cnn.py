"""A plain convolutional network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fal_bench.inputs.limits import MOST_LAYERS, Width
from fal_bench.plugins.functions import model

if TYPE_CHECKING:
    from fal_bench.learning.network import Network


@model(stacked_pixels=16 * 16, kinds=("image",))
def cnn(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=MOST_LAYERS)] = (16, 32),
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
) -> Network:
    """Blocks of 3x3 convolution, ReLU and 2x2 max-pooling, then a linear head.

    Args:
        input_shape: (C, H, W) of one sample.
        n_classes: number of outputs.
        channels: output channels of each block; the flattened last one is the embedding.
        dropout: share of the embedding that is dropped before the head in training.

    Raises:
        InvalidSpecError: the input is too small for so many blocks.
    """
    from fal_bench.errors import InvalidSpecError
    from fal_bench.models._blocks import convolutional

    network = convolutional(channels, input_shape, n_classes, dropout)
    if network is None:
        raise InvalidSpecError(
            f"The cnn has {len(channels)} pooling blocks, too many for images of "
            f"{input_shape[1]}x{input_shape[2]}; use fewer channels."
        )
    return network
