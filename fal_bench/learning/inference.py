"""Predictions of a model on many samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from fal_bench.arrays import FloatArray
from fal_bench.learning.device import CPU
from fal_bench.learning.model import Architecture, Model
from fal_bench.learning.network import Network, is_ours, layout_of

BATCH_SIZE = 64
"""On a processor; larger batches fall out of its cache and are slower."""

GPU_BATCH_SIZE = 1024
"""Elsewhere; larger batches are at most 10 % faster on an H100."""


@dataclass(frozen=True)
class Outputs:
    """What a model says about n samples; the arrays are read-only.

    Attributes:
        logits: shape (n, n_classes).
        embeddings: inputs of the head, shape (n, d).
    """

    logits: FloatArray
    embeddings: FloatArray


@torch.inference_mode()
def predict(model: Model, features: Tensor) -> Outputs:
    """Return logits and embeddings of ``features``, shape (n, C, H, W), wherever they are."""
    network = _loaded(model)
    device = network.head.weight.device
    size = _batch_size(device)
    embeddings = torch.cat(
        [
            network.body(batch.to(device).contiguous(memory_format=layout_of(network)))
            for batch in torch.split(features, size)
        ]
        or [torch.empty(0, network.head.in_features)]
    )
    logits = torch.cat(
        [network.head(batch) for batch in torch.split(embeddings, size)]
        or [torch.empty(0, model.architecture.n_classes)]
    )
    return Outputs(frozen(logits.numpy(force=True)), frozen(embeddings.numpy(force=True)))


def correct_by_batch(
    forward: Callable[[Tensor], Tensor], features: Tensor, labels: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """Count the samples whose largest logit is that of their label.

    Args:
        forward: maps samples to logits.
        features: shape (n, C, H, W), on the network's device.
        labels: shape (n,), likewise.

    Yields:
        The samples of each batch, and how many of them are correct: a number that stays where the
        labels are, so that nothing has to wait for it.
    """
    size = _batch_size(labels.device)
    for some, truth in zip(torch.split(features, size), torch.split(labels, size), strict=True):
        yield len(truth), (forward(some).argmax(1) == truth).sum()


def _batch_size(device: torch.device) -> int:
    return BATCH_SIZE if device.type == CPU else GPU_BATCH_SIZE


def _loaded(model: Model) -> Network:
    """Return this process's network for predictions, with a model's weights."""
    network, pairs = _folded(model.architecture)
    weights = dict(model.weights)
    for convolution, norm, eps in pairs:
        kernel, bias = f"{convolution}.weight", f"{convolution}.bias"
        mean, variance = weights.pop(f"{norm}.running_mean"), weights.pop(f"{norm}.running_var")
        scale, shift = weights.pop(f"{norm}.weight"), weights.pop(f"{norm}.bias")
        del weights[f"{norm}.num_batches_tracked"]
        scale = scale / torch.sqrt(variance + eps)
        weights[kernel] = weights[kernel] * scale.view(-1, 1, 1, 1)
        weights[bias] = (weights.get(bias, 0) - mean) * scale + shift
    network.load_state_dict(weights)
    return network


@lru_cache(maxsize=16)
def _folded(architecture: Architecture) -> tuple[Network, tuple[tuple[str, str, float], ...]]:
    """Return a network with less batch normalisation, and what has to be folded into what.

    At prediction a batch normalisation is a fixed affine map of each channel, which a convolution
    defined right before it in the same module can do as well. One that follows a sum, as the first
    one of a pre-activation block does, stays. The second value names each such convolution, its
    normalisation, and the latter's epsilon. Networks of plugins stay as they are: what lies between
    their layers is not known.
    """
    network = copy.deepcopy(architecture.network).eval()
    if not is_ours(network):
        return network, ()
    pairs = []
    before = ""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d) and _follows(network, name, before):
            pairs.append((before, name, module.eps))
            convolution = network.get_submodule(before)
            if getattr(convolution, "bias", None) is None:
                convolution.register_parameter("bias", nn.Parameter(torch.zeros_like(module.bias)))
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, nn.Identity())
        before = name
    network.to(memory_format=layout_of(network))
    return network, tuple(pairs)


def _follows(network: nn.Module, name: str, before: str) -> bool:
    """Whether a module's inputs are the outputs of a convolution, the one that is named."""
    beside = name.rpartition(".")[0] == before.rpartition(".")[0]
    return beside and isinstance(network.get_submodule(before), nn.Conv2d)


def frozen(array: FloatArray) -> FloatArray:
    """Make an array read-only, so that it cannot be changed for others."""
    array.setflags(write=False)
    return array
