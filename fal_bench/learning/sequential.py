"""The sequential engine: one lane after the other, data resident in tensors, no data loader.

For networks whose layers are large enough to keep the processor busy, and for those of plugins.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cross_entropy

from fal_bench.errors import PluginError, message_of
from fal_bench.learning.chance import Distortions, Mixtures, distort, drop_mask
from fal_bench.learning.device import CPU, on_device
from fal_bench.learning.inference import correct_by_batch
from fal_bench.learning.kernels.first_block import by_windows
from fal_bench.learning.model import Weights
from fal_bench.learning.network import Network, is_ours, layout_of, seeded
from fal_bench.learning.request import (
    LR_DROP,
    Lane,
    Momenta,
    TrainedLane,
    augmentation_of,
    batches,
    class_counts,
    is_plain,
    mixed_rows,
    mixture_losses,
    sample_losses,
    shrinkage,
    trainer_of,
)
from fal_bench.learning.stopping import Stopping
from fal_bench.plugins.needs import Adam, LocalTraining
from fal_bench.plugins.trainer import LocalBatch, MixedBatch


def train_sequentially(
    network: Network,
    training: LocalTraining,
    lanes: Sequence[Lane],
    n_classes: int,
    keep_epochs: bool = False,
) -> tuple[TrainedLane, ...]:
    """Train every lane and return its weights, in order.

    Args:
        network: scratch space; its weights are overwritten.
        training: the recipe.
        lanes: the trainings.
        n_classes: number of classes.
        keep_epochs: whether to keep the weights after every epoch.
    """
    network.train()
    network.to(memory_format=layout_of(network))
    trained = []
    for lane in lanes:
        if len(lane.labels):
            trained.append(_Run(network, lane, training, n_classes).run(keep_epochs))
        else:
            trained.append(TrainedLane(lane.start, momenta=lane.momenta))
    return tuple(trained)


class _Run:
    """The training of one lane."""

    def __init__(
        self, network: Network, lane: Lane, training: LocalTraining, n_classes: int
    ) -> None:
        network.load_state_dict(lane.start)
        self._network = network
        self._lane = lane
        self._training = training
        self._trainer = trainer_of(training)
        self._layout = layout_of(network)
        trained = {name: one for name, one in network.named_parameters() if one.requires_grad}
        self._optimiser = _Optimiser(trained, training, lane)
        device = network.head.weight.device
        self._device = device
        self._layers = by_windows(network) if device.type == CPU else network
        self._features, self._labels = lane.features.to(device), lane.labels.to(device)
        self._unlabelled = None if lane.unlabelled is None else lane.unlabelled.to(device)
        teacher = lane.teacher_logits
        self._teacher_logits = None if teacher is None else teacher.to(device)
        self._class_counts = on_device(class_counts(lane.labels, n_classes), device)
        self._round = torch.tensor(lane.round, device=device)
        self._start: Network | None = None
        mixes = self._trainer.mixes_unlabelled is not None
        if mixes and lane.unlabelled is not None and len(lane.unlabelled):
            self._start = copy.deepcopy(network).eval()

    def run(self, keep_epochs: bool) -> TrainedLane:
        """Train to the end."""
        with self._chance():
            return self._trained(keep_epochs)

    def _chance(self) -> AbstractContextManager[None]:
        """Let layers of plugins, such as their dropout, draw from the lane's stream."""
        if is_ours(self._network):
            return nullcontext()
        return seeded(int(self._lane.rng.integers(2**63)), self._device)

    def _trained(self, keep_epochs: bool) -> TrainedLane:
        stopping = Stopping(self._training, len(self._lane.labels))
        epochs: list[Weights] = []
        done = False
        while not done:
            self._epoch(stopping)
            done = stopping.end_epoch(self._correct(stopping.needed))
            if keep_epochs:
                epochs.append(self._weights())
        momenta = None if self._lane.momenta is None else self._optimiser.momenta()
        return TrainedLane(self._weights(), tuple(epochs), momenta)

    def _weights(self) -> Weights:
        return {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in self._network.state_dict().items()
        }

    def _epoch(self, stopping: Stopping) -> None:
        training, lane = self._training, self._lane
        size = training.batch_size
        order = batches(len(lane.labels), size, lane.rng)
        mixtures = self._draw_mixtures(len(order))
        distortions = self._draw_distortions(len(order))
        for step, positions in enumerate(order):
            chosen = on_device(positions, self._device)
            labels = self._labels[chosen]
            images = self._features[chosen]
            if distortions is not None:
                count = len(positions)
                flips, shifts = distortions.flips[step, :count], distortions.shifts[step, :count]
                images = distort(images, flips, shifts)
            self._draw_mask(len(positions))
            logits = self._forward(images)
            self._draw_mask(0)
            loss, total = self._loss(logits, labels, chosen)
            if mixtures is not None:
                loss = loss + self._mixed_loss(mixtures, step)
            self._optimiser.step(torch.autograd.grad(loss, self._optimiser.parameters))
            stopping.count(total)

    @torch.no_grad()
    def _correct(self, needed: int) -> int:
        """Return how many of the lane's samples are classified correctly, in evaluation mode.

        The count ends where the needed number cannot be reached any more; it is then below it. It
        is 0 if the recipe does not ask for it.
        """
        if self._training.stop_at_accuracy is None:
            return 0
        self._network.eval()
        correct, left = 0, len(self._labels)
        for count, hits in correct_by_batch(self._forward, self._features, self._labels):
            correct, left = correct + int(hits), left - count
            if correct + left < needed:
                break
        self._network.train()
        return correct

    def _forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Raises:
            PluginError: a plugin's network raised.
        """
        try:
            logits: Tensor = self._layers(images.contiguous(memory_format=self._layout))
        except Exception as error:
            if is_ours(self._network):
                raise
            raise PluginError(
                f"The model cannot be trained on a batch of shape {tuple(images.shape)}: "
                f"{message_of(error)}."
            ) from error
        return logits

    def _loss(self, logits: Tensor, labels: Tensor, chosen: Tensor) -> tuple[Tensor, float]:
        """Return the mean loss of a batch, and the sum if the recipe stops by it (else 0)."""
        if is_plain(self._training):
            return cross_entropy(logits, labels), 0.0
        teacher = self._teacher_logits
        batch = LocalBatch(
            labels, self._class_counts, self._round, None if teacher is None else teacher[chosen]
        )
        losses = sample_losses(self._trainer, logits, batch)
        total = float(losses.detach().sum()) if self._training.patience is not None else 0.0
        return losses.mean(), total

    def _draw_mixtures(self, steps: int) -> Mixtures | None:
        concentration = self._trainer.mixes_unlabelled
        if self._start is None or concentration is None:
            return None
        assert self._unlabelled is not None
        rows = mixed_rows(len(self._labels), self._training.batch_size)
        count = len(self._unlabelled)
        return Mixtures.draw(count, steps, rows, concentration, self._lane.rng)

    def _draw_distortions(self, steps: int) -> Distortions | None:
        kind = augmentation_of(self._training)
        if kind == "none":
            return None
        height, width = self._features.shape[2:]
        return Distortions.draw(
            kind, steps, self._training.batch_size, (height, width), self._lane.rng
        )

    def _draw_mask(self, count: int) -> None:
        """Hand the network's dropout its mask for ``count`` samples; 0 takes it away."""
        dropout = self._network.dropout if is_ours(self._network) else None
        if dropout is None:
            return
        dropout.mask = None
        if count:
            mask = drop_mask(dropout.share, count, dropout.width, self._lane.rng)
            dropout.mask = on_device(mask, self._device)

    def _mixed_loss(self, mixtures: Mixtures, step: int) -> Tensor:
        assert self._start is not None
        assert self._unlabelled is not None
        first = on_device(mixtures.first[step], self._device)
        partner = on_device(mixtures.partner[step], self._device)
        weight = on_device(mixtures.weight[step], self._device).to(self._unlabelled.dtype)
        samples = self._unlabelled[first]
        share = weight.view(-1, 1, 1, 1)
        mixed = share * samples + (1 - share) * samples[partner]
        with torch.no_grad():
            start_logits = self._start(mixed.contiguous(memory_format=self._layout))
        batch = MixedBatch(weight, partner, self._class_counts, self._round, start_logits)
        return mixture_losses(self._trainer, self._forward(mixed), batch).mean()


class _Optimiser:
    """The steps of ``torch.optim.SGD`` and ``Adam``, without their bookkeeping per step.

    Args:
        named: the parameters, which are at the start of the training.
        training: the recipe.
        lane: gives the correction of the gradients, and the momenta to start with.
    """

    def __init__(self, named: dict[str, Parameter], training: LocalTraining, lane: Lane) -> None:
        self.parameters: list[Tensor] = list(named.values())
        self._names = list(named)
        self._training = training
        self._pull = self._pulled(lane)
        kept = lane.momenta or Momenta()
        self._velocity = self._own(kept.first)
        self._squares = self._own(kept.second)
        self._remembered = kept.steps
        self._steps = 0

    def momenta(self) -> Momenta:
        """Return what it remembers."""
        first, second = (
            dict(zip(self._names, tensors or (), strict=False))
            for tensors in (self._velocity, self._squares)
        )
        return Momenta(self._remembered + self._steps, first, second)

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """Take a step against the gradients of the loss."""
        recipe = self._training
        update = list(gradients)
        if shrink := shrinkage(recipe):
            torch._foreach_add_(update, self.parameters, alpha=shrink)
        if self._pull is not None:
            torch._foreach_sub_(update, self._pull)
        dropped = recipe.lr_drop_step is not None and self._steps >= recipe.lr_drop_step
        lr = recipe.lr * (LR_DROP if dropped else 1.0)
        self._steps += 1
        if recipe.adam is not None:
            self._move_adam(recipe.adam, update, lr)
            return
        if recipe.momentum:
            if self._velocity is None:
                self._velocity = update
            else:
                torch._foreach_mul_(self._velocity, recipe.momentum)
                torch._foreach_add_(self._velocity, update)
            update = self._velocity
        torch._foreach_add_(self.parameters, update, alpha=-lr)

    def _move_adam(self, adam: Adam, gradients: list[Tensor], lr: float) -> None:
        if self._velocity is None or self._squares is None:
            self._velocity = [torch.zeros_like(one) for one in gradients]
            self._squares = [torch.zeros_like(one) for one in gradients]
        torch._foreach_mul_(self._velocity, adam.beta1)
        torch._foreach_add_(self._velocity, gradients, alpha=1 - adam.beta1)
        torch._foreach_mul_(self._squares, adam.beta2)
        torch._foreach_addcmul_(self._squares, gradients, gradients, value=1 - adam.beta2)
        if adam.decoupled and self._training.weight_decay:
            torch._foreach_mul_(self.parameters, 1 - lr * self._training.weight_decay)
        steps = self._remembered + self._steps
        first, second = 1 - adam.beta1**steps, math.sqrt(1 - adam.beta2**steps)
        roots = torch._foreach_sqrt(self._squares)
        torch._foreach_add_(roots, adam.epsilon * second)
        torch._foreach_addcdiv_(self.parameters, self._velocity, roots, value=-lr * second / first)

    def _pulled(self, lane: Lane) -> list[Tensor] | None:
        """Return what is taken from every gradient: mu times the start, less the correction."""
        mu = self._training.proximal
        if not mu and lane.correction is None:
            return None
        pull = [mu * one.detach() for one in self.parameters]
        if lane.correction is not None:
            torch._foreach_sub_(pull, [lane.correction[name] for name in self._names])
        return pull

    def _own(self, tensors: Weights) -> list[Tensor] | None:
        """Return copies of what is remembered; None at rest."""
        return [tensors[name].clone() for name in self._names] if tensors else None
