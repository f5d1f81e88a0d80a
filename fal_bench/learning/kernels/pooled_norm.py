"""Convolution, batch normalisation, ReLU and 2x2 max-pooling on a GPU, pooling first.

Memory and the number of kernels limit such a block there, not arithmetic. Maps that rise keep the
order of pixels, so pooling may come right after the convolution, and ReLU and half of the
normalisation have a quarter of the work; a channel whose scale is negative has the signs of its
kernel turned first. The convolution's bias is left out: normalisation takes it away again.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from fal_bench.learning.network import Network

_BLOCK: Final = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)


class PoolingFirst:
    """The logits of a network of such blocks in training.

    Running means and variances move as those of the network's own forward pass do.

    Args:
        network: its buffers become parts of one tensor a kind, so that one kernel moves them all.
    """

    def __init__(self, network: Network) -> None:
        assert isinstance(network.body, nn.Sequential)
        layers = list(network.body)
        self._network = network
        self._blocks: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = [
            (layers[at], layers[at + 1])  # type: ignore[misc]  # as ``of`` has seen
            for at in range(0, len(layers) - 1, len(_BLOCK))
        ]
        norms = [norm for _, norm in self._blocks]
        self._means = _packed(norms, "running_mean")
        self._variances = _packed(norms, "running_var")
        self._batches = _packed(norms, "num_batches_tracked")

    @classmethod
    def of(cls, network: Network) -> PoolingFirst | None:
        """Return what computes a network's logits; None if it is of other blocks."""
        layers = list(network.body) if isinstance(network.body, nn.Sequential) else []
        kinds = [type(layer) for layer in layers]
        blocks = len(kinds) // len(_BLOCK)
        known = blocks > 0 and kinds == [*_BLOCK * blocks, nn.Flatten]
        return cls(network) if known else None

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits, shape (n, n_classes)."""
        activations = images
        moments = []
        for convolution, norm in self._blocks:
            sign = torch.copysign(torch.ones_like(norm.weight), norm.weight.detach())
            kernel = convolution.weight * sign.view(-1, 1, 1, 1)
            pixels = conv2d(activations, kernel, None, padding=1)
            mean, inverse = torch.batch_norm_stats(pixels.detach(), norm.eps)
            activations = _apply(pixels, norm.weight, norm.bias, sign, mean, inverse)
            moments.append((mean, inverse, sign, pixels.numel() // pixels.shape[1]))
        self._track(moments)
        embeddings = activations.flatten(1)
        if self._network.dropout is not None:
            embeddings = self._network.dropout(embeddings)
        logits: Tensor = self._network.head(embeddings)
        return logits

    @torch.no_grad()
    def _track(self, moments: list[tuple[Tensor, Tensor, Tensor, int]]) -> None:
        """Move the running statistics, as ``nn.BatchNorm2d`` does."""
        means, inverses, signs = (torch.cat(part) for part in list(zip(*moments, strict=True))[:3])
        norm = self._blocks[0][1]
        assert norm.momentum is not None
        biases = [one.bias for one, _ in self._blocks if one.bias is not None]
        means = torch.addcmul(torch.cat(biases), means, signs) if biases else means * signs
        variances = inverses.pow(-2).sub_(norm.eps)
        at = 0
        for mean, _, _, count in moments:
            variances[at : at + len(mean)].mul_(count / max(count - 1, 1))
            at += len(mean)
        self._means.lerp_(means, norm.momentum)
        self._variances.lerp_(variances, norm.momentum)
        self._batches.add_(1)


def _packed(norms: list[nn.BatchNorm2d], name: str) -> Tensor:
    """Make a buffer of several layers parts of one tensor; return that."""
    own: list[Tensor] = [getattr(norm, name) for norm in norms]
    packed = torch.cat([tensor.reshape(-1) for tensor in own])
    for norm, part, tensor in zip(
        norms, torch.split(packed, [tensor.numel() for tensor in own]), own, strict=True
    ):
        setattr(norm, name, part.view(tensor.shape))
    return packed


class _PooledNorm(torch.autograd.Function):
    """max-pool, then ReLU of |scale| * (x - mean) * inverse + shift.

    The gradient goes through mean and inverse deviation, too, which are those of x.
    """

    @staticmethod
    def forward(
        ctx: Any,
        pixels: Tensor,
        scale: Tensor,
        shift: Tensor,
        sign: Tensor,
        mean: Tensor,
        inverse: Tensor,
    ) -> Tensor:
        """Return the activations, shape (n, C, H // 2, W // 2)."""
        size = scale.abs()
        pooled, winners = max_pool2d(pixels, 2, return_indices=True)
        active = torch.batch_norm_elemt(pooled, size, shift, mean, inverse, 0.0).relu_()
        ctx.save_for_backward(pixels, winners, pooled, active, size, sign, mean, inverse)
        return active

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of pixels, scale and shift."""
        pixels, winners, pooled, active, size, sign, mean, inverse = ctx.saved_tensors
        own = torch.ops.aten.threshold_backward(gradients[0], active, 0)
        # Only pixels that won have a gradient of their own, so the sums are those over the pooled.
        total, slanted, of_size, of_shift = torch.batch_norm_backward_reduce(
            own, pooled, mean, inverse, size, True, True, True
        )
        spread = torch.ops.aten.max_pool2d_with_indices_backward(
            own, pixels, [2, 2], [2, 2], [0, 0], [1, 1], False, winners
        )
        count = torch.full(
            (1,), pixels.numel() // pixels.shape[1], dtype=torch.int32, device=pixels.device
        )
        result = torch.batch_norm_backward_elemt(
            spread, pixels, mean, inverse, size, total, slanted, count
        )
        return result, of_size * sign, of_shift, None, None, None


def _apply(*arguments: Tensor) -> Tensor:
    result: Tensor = _PooledNorm.apply(*arguments)
    return result
