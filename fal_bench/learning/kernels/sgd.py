"""One step of all slots: what moves, the gradient that it starts from, and the update."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fal_bench.arrays import IntArray, RealArray
from fal_bench.learning.device import on_device
from fal_bench.learning.kernels.batch import Batch
from fal_bench.learning.kernels.even import widened
from fal_bench.learning.model import Weights
from fal_bench.learning.request import (
    LR_DROP,
    Momenta,
    is_plain,
    sample_losses,
    shrinkage,
    trainer_of,
)
from fal_bench.plugins.needs import LocalTraining


class StackedState:
    """The weights of a block and what moves them, stacked over its slots.

    Args:
        network: gives the names and shapes.
        training: the recipe; it decides what is kept beside the weights.
        width: number of slots.
        corrected: whether lanes bring a correction of their gradients.

    Attributes:
        weights: parameters by name, shape (width, ...).
        velocity: of each parameter, Adam's mean gradient included, shape (width, ...); empty if
            the recipe needs none.
        squares: Adam's mean squared gradient of each parameter, likewise.
        pull: what is taken from every gradient, likewise: mu times the weights that each slot
            started from, less the correction.
        start: the weights that each slot started from; empty if the trainer never asks for them.
    """

    def __init__(
        self, network: nn.Module, training: LocalTraining, width: int, corrected: bool = False
    ) -> None:
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        self._allocate(next(network.parameters()), training, width, shapes, corrected)

    def _allocate(
        self,
        like: Tensor,
        training: LocalTraining,
        width: int,
        shapes: dict[str, torch.Size],
        corrected: bool,
    ) -> None:
        self._proximal = training.proximal
        self.weights = {name: like.new_zeros(width, *shape) for name, shape in shapes.items()}
        self.velocity = _zeros_like(self.weights) if keeps_velocity(training) else {}
        self.squares = _zeros_like(self.weights) if training.adam else {}
        self.pull = _zeros_like(self.weights) if corrected or training.proximal else {}
        mixes = trainer_of(training).mixes_unlabelled is not None
        self.start = _zeros_like(self.weights) if mixes else {}

    def load(
        self,
        slot: int,
        weights: Weights,
        correction: Weights | None = None,
        momenta: Momenta | None = None,
    ) -> None:
        """Start a slot from ``weights``, at rest unless ``momenta`` say otherwise."""
        self._write(self.weights, slot, weights)
        self._write(self.start, slot, weights)
        for tensors in (self.velocity, self.squares):
            for tensor in tensors.values():
                tensor[slot] = 0
        if momenta is not None and momenta.steps:
            self._write(self.velocity, slot, momenta.first)
            self._write(self.squares, slot, momenta.second)
        if self.pull and correction is not None:
            self._write(self.pull, slot, correction)
        for name, pull in self.pull.items():
            base = self.weights[name][slot]
            mine = pull[slot].neg_() if correction is not None else pull[slot].zero_()
            mine.add_(base, alpha=self._proximal)

    def load_alike(self, slots: list[int], weights: Weights) -> None:
        """Start some slots from the same ``weights``, at rest; nothing may pull them."""
        assert not self.pull
        laid = self._laid_out(weights)
        for tensors in (self.weights, self.start):
            for name, tensor in tensors.items():
                write_rows(tensor, slots, laid[name].to(tensor.device))
        for tensors in (self.velocity, self.squares):
            for tensor in tensors.values():
                write_rows(tensor, slots, tensor.new_zeros(()))

    def read(self, slots: list[int]) -> Weights:
        """Return the weights of some slots, stacked; what moves them may change them."""
        return self._rows(self.weights, slots)

    def momenta(self, slots: list[int]) -> tuple[Weights, Weights]:
        """Return what the optimisers of some slots remember, likewise: ``Momenta``'s two."""
        return self._rows(self.velocity, slots), self._rows(self.squares, slots)

    def keep(self, slots: list[int]) -> None:
        """Make the block narrower: only ``slots`` stay, in this order."""
        index = self._index(slots)
        for tensors in (self.weights, self.velocity, self.squares, self.pull, self.start):
            for name, tensor in tensors.items():
                tensors[name] = tensor.index_select(0, index)

    def at(self, slots: list[int]) -> StackedState:
        """Return a copy of the weights of some slots, which nothing can move."""
        some = copy.copy(self)
        index = self._index(slots)
        some.weights = {name: one.index_select(0, index) for name, one in self.weights.items()}
        some.velocity, some.squares, some.pull, some.start = {}, {}, {}, {}
        return some

    def _write(self, tensors: Weights, slot: int, weights: Weights) -> None:
        """Write weights of one lane into a slot of stacked tensors."""
        laid = self._laid_out(weights) if tensors else {}
        for name, tensor in tensors.items():
            tensor[slot] = laid[name]

    def _laid_out(self, weights: Weights) -> Weights:
        """Return weights of one lane as a slot holds them."""
        return weights

    def _rows(self, tensors: Weights, slots: list[int]) -> Weights:
        """Return slots of stacked tensors as weights, one row a slot."""
        return {name: self._chosen(tensor, slots) for name, tensor in tensors.items()}

    def _chosen(self, tensor: Tensor, slots: list[int]) -> Tensor:
        """Return some slots of a stacked tensor; a part of itself if they follow each other."""
        stretch = _stretch(slots)
        return tensor.index_select(0, self._index(slots)) if stretch is None else tensor[stretch]

    def _index(self, slots: list[int]) -> Tensor:
        return torch.tensor(slots, device=next(iter(self.weights.values())).device)


def write_rows(tensor: Tensor, rows: list[int], values: Tensor) -> None:
    """Write some rows of a tensor.

    Args:
        tensor: is changed in place, shape (n, ...).
        rows: at least one.
        values: shape (len(rows), ...), or that of one row, which all of them get.
    """
    if (stretch := _stretch(rows)) is not None:
        tensor[stretch] = values
    else:
        index = torch.tensor(rows, device=tensor.device)
        tensor.index_copy_(0, index, values.expand(len(rows), *tensor.shape[1:]))


def _stretch(rows: list[int]) -> slice | None:
    """Return rows that follow each other as a slice, which is moved several times as fast."""
    first = rows[0]
    whole = rows == list(range(first, first + len(rows)))
    return slice(first, first + len(rows)) if whole else None


def _zeros_like(weights: Weights) -> Weights:
    return {name: torch.zeros_like(tensor) for name, tensor in weights.items()}


def keeps_velocity(training: LocalTraining) -> bool:
    """Whether a recipe's update is more than the gradient times one learning rate."""
    moves = bool(training.momentum) or training.lr_drop_step is not None
    return moves or training.adam is not None


def copies_kept(training: LocalTraining) -> int:
    """Return how many tensors of the size of the weights a step of a recipe reads and writes."""
    pulled = training.proximal > 0
    return 1 + keeps_velocity(training) + (training.adam is not None) + pulled


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


@dataclass(frozen=True)
class Pace:
    """How far one step goes.

    Attributes:
        lr: learning rate: one number, or one per slot, shape (slots,), where slots differ; Adam's
            includes the correction of its means, which begin at zero.
        decay: the recipe's own learning rate, by which AdamW's weights decay, likewise.
        epsilon: Adam's, corrected likewise, shape (slots,); None for SGD.
    """

    lr: float | Tensor
    decay: float | Tensor = 0.0
    epsilon: Tensor | None = None


def pace_of(training: LocalTraining, updates: IntArray, device: torch.device) -> Pace:
    """Return the pace of the next step.

    Args:
        training: the recipe.
        updates: updates of each slot's lane so far, shape (slots,).
        device: where the slots' weights are.
    """
    adam = training.adam
    if training.lr_drop_step is None and adam is None:
        return Pace(training.lr)
    lr = np.full(len(updates), training.lr)
    if training.lr_drop_step is not None:
        lr = training.lr * np.where(updates >= training.lr_drop_step, LR_DROP, 1.0)
    if adam is None:
        return Pace(_on(lr, device))
    steps = updates + 1
    first, second = 1 - adam.beta1**steps, np.sqrt(1 - adam.beta2**steps)
    return Pace(
        _on(lr * second / first, device), _on(lr, device), _on(adam.epsilon * second, device)
    )


def _on(values: RealArray, device: torch.device) -> Tensor:
    return on_device(values.astype(np.float32), device)


def move(weight: Tensor, velocity: Tensor, lr: float | Tensor) -> None:
    """Move one parameter of all slots against its velocity, in place."""
    if isinstance(lr, Tensor):
        weight.addcmul_(velocity, _by_slot(lr, weight), value=-1)
    else:
        weight.add_(velocity, alpha=-lr)


def _by_slot(values: Tensor, weight: Tensor) -> Tensor:
    return values.view(-1, *[1] * (weight.dim() - 1))


def _move_adam(
    state: StackedState, name: str, gradient: Tensor, training: LocalTraining, pace: Pace
) -> None:
    """Move one parameter of all slots as ``torch.optim.Adam`` does."""
    adam, weight = training.adam, state.weights[name]
    assert adam is not None
    assert pace.epsilon is not None
    assert isinstance(pace.decay, Tensor)
    velocity = state.velocity[name].mul_(adam.beta1).add_(gradient, alpha=1 - adam.beta1)
    squares = (
        state.squares[name].mul_(adam.beta2).addcmul_(gradient, gradient, value=1 - adam.beta2)
    )
    if adam.decoupled and training.weight_decay:
        weight.mul_(1 - _by_slot(pace.decay, weight) * training.weight_decay)
    step = velocity / squares.sqrt().add_(_by_slot(pace.epsilon, weight))
    move(weight, step, pace.lr)


@torch.no_grad()
def descend(
    state: StackedState, gradients: list[Tensor], training: LocalTraining, pace: Pace
) -> None:
    """Move all parameters, as ``torch.optim.SGD`` and ``torch.optim.Adam`` do.

    Args:
        state: moved in place.
        gradients: of ``state.weights``, in order; changed in place.
        training: momentum, Adam, weight decay and mu.
        pace: from ``pace_of``.
    """
    weights = list(state.weights.values())
    if shrink := shrinkage(training):
        torch._foreach_add_(gradients, weights, alpha=shrink)
    if state.pull:
        torch._foreach_sub_(gradients, list(state.pull.values()))
    if training.adam is not None:
        for name, gradient in zip(state.weights, gradients, strict=True):
            _move_adam(state, name, gradient, training, pace)
        return
    if not state.velocity:
        torch._foreach_add_(weights, gradients, alpha=-training.lr)
        return
    velocity = list(state.velocity.values())
    torch._foreach_mul_(velocity, training.momentum)
    torch._foreach_add_(velocity, gradients)
    for weight, speed in zip(weights, velocity, strict=True):
        move(weight, speed, pace.lr)


def descend_product(
    state: StackedState,
    name: str,
    inputs: Tensor,
    delta: Tensor,
    training: LocalTraining,
    pace: Pace,
) -> None:
    """Move one stacked matrix whose gradient is ``inputs^T delta``, which SGD never writes out.

    Args:
        state: its ``weights[name]`` and what moves them, shape (slots, a, b), change in place.
        name: the matrix.
        inputs: shape (slots, n, a).
        delta: shape (slots, n, b).
        training: momentum, Adam, weight decay and mu.
        pace: from ``pace_of``.
    """
    weight, across = state.weights[name], inputs.transpose(1, 2)
    if training.adam is not None:
        descend_one(state, name, torch.bmm(across, delta), training, pace)
    elif not state.velocity:
        keep = 1 - training.lr * shrinkage(training)
        weight.baddbmm_(across, delta, beta=keep, alpha=-training.lr)
        if state.pull:
            weight.add_(state.pull[name], alpha=training.lr)
    else:
        velocity = state.velocity[name]
        velocity.baddbmm_(across, delta, beta=training.momentum)
        _regularise(state, name, velocity, training)
        move(weight, velocity, pace.lr)


def descend_one(
    state: StackedState, name: str, gradient: Tensor, training: LocalTraining, pace: Pace
) -> None:
    """Move one parameter by its gradient, which may change in place; see ``descend_product``."""
    weight = state.weights[name]
    if training.adam is not None:
        _regularise(state, name, gradient, training)
        _move_adam(state, name, gradient, training, pace)
    elif not state.velocity:
        weight.mul_(1 - training.lr * shrinkage(training)).add_(gradient, alpha=-training.lr)
        if state.pull:
            weight.add_(state.pull[name], alpha=training.lr)
    else:
        velocity = state.velocity[name].mul_(training.momentum).add_(gradient)
        _regularise(state, name, velocity, training)
        move(weight, velocity, pace.lr)


def _regularise(state: StackedState, name: str, gradient: Tensor, training: LocalTraining) -> None:
    """Add to a gradient, in place, what does not come from the loss."""
    if shrink := shrinkage(training):
        gradient.add_(state.weights[name], alpha=shrink)
    if state.pull:
        gradient.sub_(state.pull[name])
