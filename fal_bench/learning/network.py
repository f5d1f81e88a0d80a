"""The classifiers: an ``embed`` body and a linear ``head``, built from a task's model spec."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from fal_bench.errors import InvalidSpecError
from fal_bench.learning.chance import Dropout
from fal_bench.learning.resnet import EMBEDDING_SIZE, resnet18_body
from fal_bench.task import Cnn, Mlp, ModelSpec, Resnet18


class Network(nn.Module):
    """A classifier whose embedding is the input of its last linear layer.

    Args:
        body: maps a batch (n, C, H, W) to embeddings (n, d).
        embedding_size: d.
        n_classes: number of outputs.
        dropout: share of the embedding that is dropped before the head, in training.
    """

    def __init__(
        self, body: nn.Module, embedding_size: int, n_classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.body = body
        self.dropout = Dropout(dropout, embedding_size) if dropout else None
        self.head = nn.Linear(embedding_size, n_classes)

    def embed(self, features: Tensor) -> Tensor:
        """Return the embeddings, shape (n, d)."""
        embedding: Tensor = self.body(features)
        return embedding

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits, shape (n, n_classes)."""
        embeddings = self.embed(features)
        if self.dropout is not None:
            embeddings = self.dropout(embeddings)
        logits: Tensor = self.head(embeddings)
        return logits


@lru_cache(maxsize=16)
def network(
    spec: ModelSpec, input_shape: tuple[int, int, int], n_classes: int, device: str = "cpu"
) -> Network:
    """Return this process's one network of a shape; its weights are scratch space.

    It is built on the meta device, because PyTorch's own initialisation would draw from the
    global random stream.

    Args:
        spec: the task's model.
        input_shape: (C, H, W) of one sample.
        n_classes: number of outputs.
        device: where its weights are.

    Raises:
        InvalidSpecError: the input is too small for the model, or has other channels.
    """
    with torch.device("meta"):
        if isinstance(spec, Mlp):
            built = _mlp(spec, input_shape, n_classes)
        elif isinstance(spec, Cnn):
            built = _cnn(spec.channels, input_shape, n_classes, spec.dropout, normalise=False)
        elif isinstance(spec, Resnet18):
            built = Network(resnet18_body(spec, input_shape), EMBEDDING_SIZE, n_classes)
        else:
            blocks = (spec.width,) * 4
            built = _cnn(blocks, input_shape, n_classes, spec.dropout, normalise=True)
    return built.to_empty(device=device)


def fresh_weights(network: Network, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw initial weights, on the processor, as PyTorch's layers and torchvision's ResNets do.

    Linear and convolutional layers are uniform within 1/sqrt(fan_in); convolutions without a bias,
    which are a ResNet's, normal with variance 2/fan_out (He et al., ICCV 2015); batch normalisation
    starts as the identity.

    Args:
        network: gives names and shapes; left as it is.
        generator: the stream to draw from.
    """
    weights: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        own = dict(module.named_parameters(recurse=False))
        own.update(module.named_buffers(recurse=False))
        if isinstance(module, nn.BatchNorm2d):
            starts = {"weight": torch.ones_like, "running_var": torch.ones_like}
            for key, tensor in own.items():
                start = starts.get(key, torch.zeros_like)
                weights[f"{name}.{key}"] = start(tensor.detach(), device="cpu")
        elif isinstance(module, nn.Conv2d) and module.bias is None:
            fan_out = module.weight[:, 0].numel()
            drawn = torch.randn(module.weight.shape, generator=generator)
            weights[f"{name}.weight"] = drawn.mul_(math.sqrt(2 / fan_out))
        elif isinstance(module, nn.Linear | nn.Conv2d):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for key, tensor in own.items():
                drawn = torch.rand(tensor.shape, generator=generator)
                weights[f"{name}.{key}"] = drawn.mul_(2 * bound).sub_(bound)
        elif own:
            raise TypeError(f"no initialisation is defined for {type(module).__name__}")
    return weights


def _mlp(spec: Mlp, input_shape: tuple[int, int, int], n_classes: int) -> Network:
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(input_shape)
    for hidden in spec.hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU()]
        width = hidden
    return Network(nn.Sequential(*layers), width, n_classes, spec.dropout)


def _cnn(
    blocks: tuple[int, ...],
    input_shape: tuple[int, int, int],
    n_classes: int,
    dropout: float,
    normalise: bool,
) -> Network:
    layers: list[nn.Module] = []
    channels, height, width = input_shape
    for block in blocks:
        layers.append(nn.Conv2d(channels, block, 3, padding=1))
        if normalise:
            layers.append(nn.BatchNorm2d(block))
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels, height, width = block, height // 2, width // 2
    if height == 0 or width == 0:
        kind, cure = ("cnn4", "use the cnn") if normalise else ("cnn", "use fewer channels")
        raise InvalidSpecError(
            f"The {kind} has {len(blocks)} pooling blocks, too many for images of "
            f"{input_shape[1]}x{input_shape[2]}; {cure}."
        )
    layers.append(nn.Flatten())
    return Network(nn.Sequential(*layers), channels * height * width, n_classes, dropout)
