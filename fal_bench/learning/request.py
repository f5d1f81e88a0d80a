"""Training requests: the one way in which anybody has a model trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from torch import Tensor

from fal_bench.arrays import IntArray
from fal_bench.errors import PluginError
from fal_bench.learning.model import Architecture, Weights
from fal_bench.plugins.needs import LocalTraining
from fal_bench.plugins.trainer import LocalBatch, MixedBatch, Trainer
from fal_bench.task import Augmentation
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY

LR_DROP = 0.1
"""What is left of the learning rate after ``LocalTraining.lr_drop_step`` updates."""

AT_ONCE = 128
"""Orders of at most so many samples are drawn in one call, which takes a sixth of the time."""

ROWS_MULTIPLE = 8
"""Batches of a lane with less than one full batch of samples are padded to a multiple of this."""


@dataclass(frozen=True)
class Momenta:
    """What an optimiser remembers of the steps of one client.

    Attributes:
        steps: how many there were.
        first: velocity of SGD, or Adam's mean of the gradients, by parameter; empty at rest.
        second: Adam's mean of the squared gradients, likewise.
    """

    steps: int = 0
    first: Weights = field(default_factory=dict)
    second: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class Lane:
    """One local training.

    Attributes:
        start: the weights to start from; left as they are.
        features: the samples, shape (n, C, H, W), best on the architecture's device; n may be 0,
            which returns ``start``.
        labels: their labels, on the processor, shape (n,).
        rng: the stream of the batch order.
        round: the round of the cycle that this training belongs to, from 0; the last one for
            trainings outside the rounds.
        unlabelled: samples that a trainer may mix, shape (m, C, H, W); None if it has none.
        teacher_logits: of the teacher of a distillation on ``features``, shape (n, n_classes).
        correction: what is added to the gradient of every step, by parameter; None adds nothing.
        momenta: what the optimiser starts with; None starts at rest, and does not return any.
    """

    start: Weights
    features: Tensor
    labels: Tensor
    rng: np.random.Generator
    round: int = 0
    unlabelled: Tensor | None = None
    teacher_logits: Tensor | None = None
    correction: Weights | None = None
    momenta: Momenta | None = None

    @property
    def count(self) -> int:
        """Labelled samples."""
        return self.labels.numel()


@dataclass(frozen=True)
class TrainRequest:
    """Local trainings of one architecture by one recipe, independent of each other.

    Attributes:
        architecture: what is trained.
        training: how it is trained.
        lanes: one training each.
        key: what is asked for, in words that no other training shares; requests with the same key
            are trained once and get the same answer.
        keep_epochs: whether the weights after every epoch are kept, too.
        cycle: the cycle of the run that asks, to name it if the training fails.
    """

    architecture: Architecture
    training: LocalTraining
    lanes: tuple[Lane, ...]
    key: str | None = None
    keep_epochs: bool = False
    cycle: int = 0


@dataclass(frozen=True)
class TrainedLane:
    """What became of one lane.

    Attributes:
        weights: the trained weights.
        epochs: the weights after each epoch, if they were to be kept.
        momenta: what the optimiser ends with, if the lane has any.
    """

    weights: Weights
    epochs: tuple[Weights, ...] = ()
    momenta: Momenta | None = None


@dataclass(frozen=True)
class Trained:
    """The answer to a request.

    Attributes:
        weights: the trained weights of each lane, in order.
        seconds: the time spent on this request: its share, by updates, of the time spent on all
            requests that were trained with it.
        epochs: the weights of each lane after each epoch, if they were to be kept.
        momenta: what the optimiser of each lane ends with; None for lanes that have none.
    """

    weights: tuple[Weights, ...]
    seconds: float
    epochs: tuple[tuple[Weights, ...], ...] = ()
    momenta: tuple[Momenta | None, ...] = ()


def trainer_of(training: LocalTraining) -> Trainer:
    """Return the trainer of a recipe; cross-entropy if it names none."""
    return training.trainer or CROSS_ENTROPY


def sample_losses(trainer: Trainer, logits: Tensor, batch: LocalBatch) -> Tensor:
    """Return a trainer's loss of every sample.

    Raises:
        PluginError: it is not one loss a sample, or has no gradient where one is needed.
    """
    losses = trainer.losses(logits, batch)
    _check_losses(trainer, "losses", losses, tuple(batch.labels.shape), "batch.labels")
    if logits.requires_grad and not losses.requires_grad:
        raise PluginError(
            f"Trainer {trainer.name!r}: losses must be computed from the logits by differentiable "
            "operations of PyTorch; these have no gradient (detach, argmax and NumPy cut it)."
        )
    return losses


def mixture_losses(trainer: Trainer, logits: Tensor, batch: MixedBatch) -> Tensor:
    """Return a trainer's loss of every mixture; it may be a constant.

    Raises:
        PluginError: it is not one loss a mixture.
    """
    losses = trainer.mixed_losses(logits, batch)
    _check_losses(trainer, "mixed_losses", losses, tuple(batch.weight.shape), "batch.weight")
    return losses


def _check_losses(
    trainer: Trainer, method: str, losses: object, shape: tuple[int, ...], like: str
) -> None:
    if not isinstance(losses, Tensor):
        got = "None" if losses is None else f"a {type(losses).__name__}"
        raise PluginError(
            f"Trainer {trainer.name!r}: {method} must return a torch.Tensor of shape {shape} as "
            f"{like} has here, not {got}."
        )
    if tuple(losses.shape) != shape:
        raise PluginError(
            f"Trainer {trainer.name!r}: {method} must return one loss a sample, shape {shape} as "
            f"{like} has here, not {tuple(losses.shape)}."
        )


def augmentation_of(training: LocalTraining) -> Augmentation:
    """Return what a recipe does to images."""
    return training.augmentation or "none"


def shrinkage(training: LocalTraining) -> float:
    """Return how much of the weights is added to their gradient: L2 penalty and FedProx's mu."""
    apart = training.adam is not None and training.adam.decoupled
    return training.proximal + (0.0 if apart else training.weight_decay)


def is_plain(training: LocalTraining) -> bool:
    """Whether a recipe needs nothing but the logits: cross-entropy, and no look at its loss."""
    return trainer_of(training) == CROSS_ENTROPY and training.patience is None


def class_counts(labels: Tensor, n_classes: int) -> IntArray:
    """Return how many of ``labels`` are of each class, shape (n_classes,)."""
    return np.bincount(labels.numpy(), minlength=n_classes).astype(np.int64)


def class_counts_by_lane(lanes: Sequence[Lane], n_classes: int) -> IntArray:
    """Return what ``class_counts`` returns of each lane's labels, shape (lanes, n_classes)."""
    labels = np.concatenate([lane.labels.numpy() for lane in lanes])
    numbers = np.arange(len(lanes)).repeat([lane.count for lane in lanes])
    counts = np.bincount(numbers * n_classes + labels, minlength=len(lanes) * n_classes)
    return counts.astype(np.int64).reshape(-1, n_classes)


def padded_rows(count: int, batch_size: int) -> int:
    """Return the rows to which the batches of a lane of ``count`` samples are padded.

    It is even, because odd sizes change bits with the number of lanes on some processors, and it
    follows from the lane and its recipe alone, never from the company.
    """
    full = batch_size + batch_size % 2
    return min(full, -(-count // ROWS_MULTIPLE) * ROWS_MULTIPLE)


def mixed_rows(count: int, batch_size: int) -> int:
    """Return how many mixtures of unlabelled samples a step of such a lane takes."""
    return min(batch_size, padded_rows(count, batch_size))


def epoch_order(count: int, rng: np.random.Generator) -> IntArray:
    """Return the random order in which one epoch visits ``count`` samples."""
    return rng.permutation(count)


def epoch_orders(count: int, epochs: int, rng: np.random.Generator) -> IntArray:
    """Return what as many calls of ``epoch_order`` return, shape (epochs, count)."""
    if count <= AT_ONCE:
        return rng.permuted(_unordered(count, epochs), axis=1)
    return np.stack([epoch_order(count, rng) for _ in range(epochs)])


@lru_cache(maxsize=1024)
def _unordered(count: int, epochs: int) -> IntArray:
    """Return the samples of several epochs before they are ordered, shape (epochs, count)."""
    return np.tile(np.arange(count), (epochs, 1))


def batch_edges(count: int, batch_size: int) -> IntArray:
    """Return where the batches of one epoch start and end, shape (batches + 1,).

    There are as few as the batch size allows, and their sizes differ by one at most. A last batch
    of what is left over could be a single sample, whose gradient throws a network with momentum
    off; and one label more could be worth a whole step more.

    Args:
        count: samples of the epoch, at least 1.
        batch_size: most samples of a batch.
    """
    steps = -(-count // batch_size)
    return np.arange(steps + 1) * count // steps


def batches(count: int, batch_size: int, rng: np.random.Generator) -> list[IntArray]:
    """Return one epoch's batches: its order cut into as few even pieces as the size allows."""
    return np.split(epoch_order(count, rng), batch_edges(count, batch_size)[1:-1])
