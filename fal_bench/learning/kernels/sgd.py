"""One SGD step of all slots: what moves, the gradient that it starts from, and the update."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fal_bench.arrays import IntArray
from fal_bench.learning.device import on_device
from fal_bench.learning.kernels.batch import Batch
from fal_bench.learning.kernels.even import widened
from fal_bench.learning.model import Weights
from fal_bench.learning.request import LR_DROP, is_plain, sample_losses, trainer_of
from fal_bench.plugins.needs import LocalTraining


class StackedState:
    """The weights and velocities of a block, stacked over its slots.

    Args:
        network: gives the names and shapes.
        training: the recipe; it decides whether velocities are kept.
        width: number of slots.

    Attributes:
        weights: parameters by name, shape (width, ...).
        velocity: of each parameter, shape (width, ...); empty if the recipe needs none.
        start: the weights that each slot started from; empty if the trainer never asks for them.
    """

    def __init__(self, network: nn.Module, training: LocalTraining, width: int) -> None:
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        self._allocate(next(network.parameters()), training, width, shapes)
        self.start: Weights = {}
        if trainer_of(training).mixes_unlabelled is not None:
            self.start = {name: tensor.clone() for name, tensor in self.weights.items()}

    def _allocate(
        self, like: Tensor, training: LocalTraining, width: int, shapes: dict[str, torch.Size]
    ) -> None:
        self.weights = {name: like.new_zeros(width, *shape) for name, shape in shapes.items()}
        moves = keeps_velocity(training)
        self.velocity = {n: torch.zeros_like(t) for n, t in self.weights.items() if moves}

    def load(self, slot: int, weights: Weights) -> None:
        """Start a slot from ``weights``, at rest."""
        for name, tensor in self.weights.items():
            tensor[slot] = weights[name]
        for velocity in self.velocity.values():
            velocity[slot] = 0
        for name, tensor in self.start.items():
            tensor[slot] = weights[name]

    def read(self, slot: int) -> Weights:
        """Return a copy of a slot's weights."""
        return {name: tensor[slot].clone() for name, tensor in self.weights.items()}

    def keep(self, slots: list[int]) -> None:
        """Make the block narrower: only ``slots`` stay, in this order."""
        index = torch.tensor(slots, device=next(iter(self.weights.values())).device)
        self.weights = {name: t.index_select(0, index) for name, t in self.weights.items()}
        self.velocity = {name: t.index_select(0, index) for name, t in self.velocity.items()}
        self.start = {name: t.index_select(0, index) for name, t in self.start.items()}


def keeps_velocity(training: LocalTraining) -> bool:
    """Whether a recipe's update is more than the gradient times one learning rate."""
    return bool(training.momentum) or training.lr_drop_step is not None


def logit_gradient(
    logits: Tensor, batch: Batch, training: LocalTraining
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of every slot's mean loss, and the losses.

    The cross-entropy's is written by hand; any other trainer's comes from autograd, which sees no
    more of the network than its logits.

    Args:
        logits: shape (slots, rows, outputs); left as they are.
        batch: gives labels, counts and the number of classes; outputs beyond it are not known to
            the loss.
        training: the recipe; its trainer mixes no unlabelled samples.

    Returns:
        The gradient, shape (slots, rows, outputs), and the losses, 0 for padding, shape
        (slots, rows); None for the losses where the recipe has no need of them.
    """
    known = batch.known(logits)
    if is_plain(training):
        return widened(_cross_entropy_gradient(known, batch), logits.shape[2]), None
    with torch.enable_grad():
        leaf = known.detach().requires_grad_()
        losses = sample_losses(trainer_of(training), leaf, batch.local())
        [gradient] = torch.autograd.grad((losses * batch.shares).sum(), leaf)
    return widened(gradient, logits.shape[2]), losses.detach() * batch.inside


def _cross_entropy_gradient(logits: Tensor, batch: Batch) -> Tensor:
    """Return the gradient of every slot's mean cross-entropy, 0 in rows of padding."""
    gradient = logits.softmax(2)
    truth = batch.labels.unsqueeze(2)
    gradient.scatter_add_(2, truth, gradient.new_full((), -1.0).expand(truth.shape))
    return gradient.mul_(batch.shares.unsqueeze(2))


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
        gradients: of ``state.weights``, in order; changed in place.
        training: momentum and weight decay.
        lr: from ``learning_rates``.
    """
    weights = list(state.weights.values())
    if training.weight_decay:
        torch._foreach_add_(gradients, weights, alpha=training.weight_decay)
    if not state.velocity:
        torch._foreach_add_(weights, gradients, alpha=-training.lr)
        return
    velocity = list(state.velocity.values())
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
