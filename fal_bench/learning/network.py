"""Networks: a body that makes embeddings and a linear head, built by a model's function."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from fal_bench.errors import FalbenchError, InvalidSpecError, PluginError, message_of
from fal_bench.learning.chance import Dropout
from fal_bench.plugins.functions import ModelTraits, traits_of
from fal_bench.plugins.kinds import MODELS_FOR, kind_of

PROBE_SAMPLES = 2

BLOCK: Final = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)
"""The layers of a block: a 3x3 convolution that keeps the size, and 2x2 pooling."""


class Network(nn.Module):
    """A classifier whose embedding is the input of its last linear layer.

    falbench's own models are of this class: their weights are drawn by ``fresh_weights``, their
    dropout gets its masks handed in, and the engines know their layers. Networks of plugins are
    any module with a body and a head.

    Args:
        body: maps a batch (n, C, H, W) to embeddings (n, d).
        embedding_size: d.
        n_classes: number of outputs.
        dropout: share of the embedding that is dropped before the head, in training.
        start: returns weights that training starts from in place of drawn ones.
    """

    def __init__(
        self,
        body: nn.Module,
        embedding_size: int,
        n_classes: int,
        dropout: float = 0.0,
        start: Callable[[], Mapping[str, Tensor]] | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.dropout = Dropout(dropout, embedding_size) if dropout else None
        self.head = nn.Linear(embedding_size, n_classes)
        self.start = start

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits, shape (n, n_classes)."""
        embeddings = self.body(features)
        if self.dropout is not None:
            embeddings = self.dropout(embeddings)
        logits: Tensor = self.head(embeddings)
        return logits


def is_ours(network: nn.Module) -> bool:
    """Whether a network is of falbench's own class, and no plugin's module."""
    return isinstance(network, Network)


def layout_of(network: nn.Module) -> torch.memory_format:
    """Return the layout of the images that a network is given.

    Convolutions are faster in channels-last layout, which ``Tensor.view`` cannot flatten, as a
    plugin's network may do.
    """
    return torch.channels_last if is_ours(network) else torch.contiguous_format


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Let PyTorch's global random stream begin at a seed while the context is open.

    What it was is restored afterwards. For layers of plugins, which draw from nothing else.

    Args:
        seed: the seed.
        device: a further device whose stream is meant.
    """
    place = torch.device(device)
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if place.type == "cuda":
            torch.cuda.manual_seed(seed)
        yield


def build(
    name: str,
    function: Callable[..., Any],
    input_shape: tuple[int, int, int],
    n_classes: int,
    params: Mapping[str, Any],
    seed: int = 0,
) -> Network:
    """Build a network on the processor and check it.

    Args:
        name: the model's name, for messages.
        function: the model.
        input_shape: (C, H, W) of one sample.
        n_classes: number of outputs.
        params: its parameters.
        seed: where the stream begins that layers of plugins draw their weights from.

    Raises:
        InvalidSpecError: the model is not for data of this kind, or a built-in one cannot take such
            inputs.
        PluginError: a plugin's function fails, or returns no module with a body and a linear head.
    """
    _check_kind(name, function, input_shape)
    with seeded(seed):
        try:
            built = function(input_shape, n_classes, **params)
            if not is_ours(built):
                _check(name, built, input_shape, n_classes)
        except FalbenchError:
            raise
        except Exception as error:
            raise PluginError(
                f"Model {name!r} cannot be used on samples of shape {input_shape} with "
                f"{n_classes} classes: {message_of(error)}."
            ) from error
    return cast("Network", built)


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


def _check_kind(name: str, function: Callable[..., Any], shape: tuple[int, int, int]) -> None:
    traits, kind = traits_of(function), kind_of(shape)
    if isinstance(traits, ModelTraits) and kind not in traits.kinds:
        raise InvalidSpecError(
            f"Model {name!r} is for data of kind {' or '.join(traits.kinds)}, and samples of shape "
            f"{shape} are of kind {kind}; use {MODELS_FOR[kind]}, or a model of your own."
        )


def _check(name: str, built: Any, input_shape: tuple[int, int, int], n_classes: int) -> None:
    """Check a plugin's network: its parts, and what it makes of made-up samples.

    Raises:
        PluginError: it is not what a model must return.
    """
    needed = "it must return an nn.Module with a body and a head"
    if not isinstance(built, nn.Module):
        raise PluginError(f"Model {name!r} returned {_kind(built)}; {needed}.")
    body, head = getattr(built, "body", None), getattr(built, "head", None)
    for part, module in (("body", body), ("head", head)):
        if not isinstance(module, nn.Module):
            raise PluginError(
                f"Model {name!r} returned {_kind(built)} without a module {part!r}; {needed}."
            )
    if not isinstance(head, nn.Linear) or head.out_features != n_classes:
        outputs = f" of {head.out_features} outputs" if isinstance(head, nn.Linear) else ""
        raise PluginError(
            f"Model {name!r} has {_kind(head)}{outputs} as its head; it must be an nn.Linear of "
            f"{n_classes} outputs, one a class."
        )
    training, samples = built.training, torch.zeros(PROBE_SAMPLES, *input_shape)
    with torch.no_grad():
        built.eval()
        embeddings, logits = cast("nn.Module", body)(samples), built(samples)
        built.train(training)
    shape = (PROBE_SAMPLES, head.in_features)
    if tuple(embeddings.shape) != shape:
        raise PluginError(
            f"Model {name!r}: its body makes {tuple(embeddings.shape)} of {PROBE_SAMPLES} samples, "
            f"and its head takes {shape}; flatten at the end of the body."
        )
    if not torch.allclose(logits, head(embeddings), atol=1e-5, rtol=1e-4, equal_nan=True):
        raise PluginError(
            f"Model {name!r}: in eval mode its outputs must be head(body(samples)); move what lies "
            "between or behind them into the body."
        )


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
