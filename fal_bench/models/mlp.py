"""A multi-layer perceptron."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fal_bench.inputs.limits import MOST_LAYERS, Width
from fal_bench.plugins.functions import model

if TYPE_CHECKING:
    from fal_bench.learning.network import Network


@model(stacked_pixels=None)
def mlp(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    hidden: Annotated[tuple[Width, ...], Field(max_length=MOST_LAYERS)] = (128,),
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
) -> Network:
    """A multi-layer perceptron with ReLU on the flattened input.

    Args:
        input_shape: (C, H, W) of one sample.
        n_classes: number of outputs.
        hidden: width of each hidden layer; the last one is the embedding. Without any, a linear
            classifier, whose embedding is the flattened input.
        dropout: share of the embedding that is dropped before the head in training.
    """
    from torch import nn

    from fal_bench.learning.network import Network

    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(input_shape)
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        width = size
    return Network(nn.Sequential(*layers), width, n_classes, dropout)
