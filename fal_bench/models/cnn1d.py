"""A plain convolutional network for series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from fal_bench.inputs.limits import MOST_LAYERS, Width
from fal_bench.plugins.functions import model

if TYPE_CHECKING:
    from fal_bench.learning.network import Network


def _odd(length: int) -> int:
    if length % 2 == 0:
        raise ValueError(f"a kernel has an odd length, not {length}")
    return length


@model(stacked_pixels=200, kinds=("series",))
def cnn1d(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=MOST_LAYERS)] = (16, 32),
    kernel: Annotated[int, Field(ge=1, le=1_001), AfterValidator(_odd)] = 5,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
) -> Network:
    """Blocks of convolution along time, ReLU and max-pooling of two, then a linear head.

    Args:
        input_shape: (C, 1, T) of one series.
        n_classes: number of outputs.
        channels: output channels of each block; the flattened last one is the embedding.
        kernel: time steps that a convolution sees; odd.
        dropout: share of the embedding that is dropped before the head in training.

    Raises:
        InvalidSpecError: the series is too short for so many blocks.
    """
    from torch import nn

    from fal_bench.errors import InvalidSpecError
    from fal_bench.learning.network import Network

    layers: list[nn.Module] = []
    below, _, length = input_shape
    for block in channels:
        layers.append(nn.Conv2d(below, block, (1, kernel), padding=(0, kernel // 2)))
        layers += [nn.ReLU(), nn.MaxPool2d((1, 2), (1, 2))]
        below, length = block, length // 2
    if length == 0:
        raise InvalidSpecError(
            f"The cnn1d has {len(channels)} pooling blocks, too many for series of "
            f"{input_shape[2]} steps; use fewer channels."
        )
    layers.append(nn.Flatten())
    return Network(nn.Sequential(*layers), below * length, n_classes, dropout)
