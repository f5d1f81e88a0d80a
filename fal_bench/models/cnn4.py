"""The four-layer CNN of LoGo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fal_bench.inputs.limits import Width
from fal_bench.plugins.functions import model

if TYPE_CHECKING:
    from fal_bench.learning.network import Network


@model(kinds=("image",))
def cnn4(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: Width = 64,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
) -> Network:
    """The four-layer CNN of LoGo (Kim et al., CVPR 2023), for images of 16x16 or more.

    Four blocks of 3x3 convolution, batch normalisation, ReLU and 2x2 max-pooling, then a linear
    head; 112,586 parameters on one-channel images of 28x28 with 10 classes.

    Args:
        input_shape: (C, H, W) of one sample.
        n_classes: number of outputs.
        width: channels of every block; the flattened last one is the embedding.
        dropout: share of the embedding that is dropped before the head in training.

    Raises:
        InvalidSpecError: the input is too small for four blocks.
    """
    from fal_bench.errors import InvalidSpecError
    from fal_bench.models._blocks import convolutional

    network = convolutional((width,) * 4, input_shape, n_classes, dropout, normalise=True)
    if network is None:
        raise InvalidSpecError(
            "The cnn4 has 4 pooling blocks, too many for images of "
            f"{input_shape[1]}x{input_shape[2]}; use the cnn."
        )
    return network
