"""One SGD step of all slots of a block, given the gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fal_bench.arrays import IntArray
from fal_bench.learning.device import on_device
from fal_bench.learning.request import LR_DROP
from fal_bench.learning.stacked.state import StackedState
from fal_bench.plugins.needs import LocalTraining


def learning_rates(
    training: LocalTraining, updates: IntArray, device: torch.device
) -> float | Tensor:
    """Return the learning rate: one number, or one per slot if the recipe drops it.

    Args:
        training: the recipe.
        updates: updates of each slot's lane so far, shape (slots,).
        device: where the slots' weights are.
    """
    if training.lr_drop_step is None:
        return training.lr
    factor = np.where(updates >= training.lr_drop_step, LR_DROP, 1.0)
    return on_device((training.lr * factor).astype(np.float32), device)


def move(weight: Tensor, velocity: Tensor, lr: float | Tensor) -> None:
    """Move one parameter of all slots against its velocity, in place."""
    if isinstance(lr, Tensor):
        weight.addcmul_(velocity, lr.view(-1, *[1] * (weight.dim() - 1)), value=-1)
    else:
        weight.add_(velocity, alpha=-lr)


@torch.no_grad()
def descend(
    state: StackedState, gradients: list[Tensor], training: LocalTraining, lr: float | Tensor
) -> None:
    """Move all parameters, as ``torch.optim.SGD`` does.

    Args:
        state: moved in place.
        gradients: of ``state.parameters``, in order; changed in place.
        training: momentum and weight decay.
        lr: from ``learning_rates``.
    """
    weights = [state.weights[name] for name in state.parameters]
    if training.weight_decay:
        torch._foreach_add_(gradients, weights, alpha=training.weight_decay)
    if not state.velocity:
        torch._foreach_add_(weights, gradients, alpha=-training.lr)
        return
    velocity = [state.velocity[name] for name in state.parameters]
    torch._foreach_mul_(velocity, training.momentum)
    torch._foreach_add_(velocity, gradients)
    for weight, speed in zip(weights, velocity, strict=True):
        move(weight, speed, lr)


def descend_product(
    state: StackedState,
    name: str,
    inputs: Tensor,
    delta: Tensor,
    training: LocalTraining,
    lr: float | Tensor,
) -> None:
    """Move one stacked matrix whose gradient is ``inputs^T delta``, which is never written out.

    Args:
        state: its ``weights[name]`` and ``velocity[name]``, shape (slots, a, b), move in place.
        name: the matrix.
        inputs: shape (slots, n, a).
        delta: shape (slots, n, b).
        training: momentum and weight decay.
        lr: from ``learning_rates``.
    """
    weight = state.weights[name]
    if not state.velocity:
        keep = 1 - training.lr * training.weight_decay
        weight.baddbmm_(inputs.transpose(1, 2), delta, beta=keep, alpha=-training.lr)
        return
    velocity = state.velocity[name]
    velocity.baddbmm_(inputs.transpose(1, 2), delta, beta=training.momentum)
    if training.weight_decay:
        velocity.add_(weight, alpha=training.weight_decay)
    move(weight, velocity, lr)
