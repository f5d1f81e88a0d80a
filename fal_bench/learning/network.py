"""The classifiers: an ``embed`` body and a linear ``head``, built from a task's model spec."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from fal_bench.errors import InvalidSpecError
from fal_bench.task import Cnn, Mlp


class Network(nn.Module):
    """A classifier whose embedding is the input of its last linear layer.

    Args:
        body: maps a batch (n, C, H, W) to embeddings (n, d).
        embedding_size: d.
        n_classes: number of outputs.
    """

    def __init__(self, body: nn.Module, embedding_size: int, n_classes: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(embedding_size, n_classes)

    def embed(self, features: Tensor) -> Tensor:
        """Return the embeddings, shape (n, d)."""
        embedding: Tensor = self.body(features)
        return embedding

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits, shape (n, n_classes)."""
        logits: Tensor = self.head(self.embed(features))
        return logits


@lru_cache(maxsize=16)
def network(spec: Mlp | Cnn, input_shape: tuple[int, int, int], n_classes: int) -> Network:
    """Return this process's one network of a shape; its weights are scratch space.

    It is built on the meta device, because PyTorch's own initialisation would draw from the
    global random stream.

    Args:
        spec: the task's model.
        input_shape: (C, H, W) of one sample.
        n_classes: number of outputs.

    Raises:
        InvalidSpecError: the input is too small for the model.
    """
    with torch.device("meta"):
        built = (
            _mlp(spec, input_shape, n_classes)
            if isinstance(spec, Mlp)
            else _cnn(spec, input_shape, n_classes)
        )
    return built.to_empty(device="cpu")


def fresh_weights(network: Network, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw initial weights: uniform within 1/sqrt(fan_in), as PyTorch's layers do by default.

    Args:
        network: gives names and shapes; left as it is.
        generator: the stream to draw from.
    """
    weights: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        layer = network.get_submodule(name.rpartition(".")[0])
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise TypeError(f"no initialisation is defined for {type(layer).__name__}")
        bound = 1 / math.sqrt(layer.weight[0].numel())
        drawn = torch.rand(parameter.shape, generator=generator)
        weights[name] = drawn.mul_(2 * bound).sub_(bound)
    return weights


def _mlp(spec: Mlp, input_shape: tuple[int, int, int], n_classes: int) -> Network:
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(input_shape)
    for hidden in spec.hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU()]
        width = hidden
    return Network(nn.Sequential(*layers), width, n_classes)


def _cnn(spec: Cnn, input_shape: tuple[int, int, int], n_classes: int) -> Network:
    layers: list[nn.Module] = []
    channels, height, width = input_shape
    for block in spec.channels:
        layers += [nn.Conv2d(channels, block, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, height, width = block, height // 2, width // 2
    if height == 0 or width == 0:
        raise InvalidSpecError(
            f"The cnn has {len(spec.channels)} pooling blocks, too many for images of "
            f"{input_shape[1]}x{input_shape[2]}; use fewer channels."
        )
    layers.append(nn.Flatten())
    return Network(nn.Sequential(*layers), channels * height * width, n_classes)
