"""What every trainer must satisfy: one function a check, in the order of the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fal_bench.arrays import FloatArray
from fal_bench.conformance import batches
from fal_bench.conformance.batches import CLASSES, LANES, Shown
from fal_bench.conformance.side_effects import Digests, digests
from fal_bench.conformance.subject import (
    ClassSubject,
    Failure,
    NotApplicable,
    Raised,
    once,
    owned_by,
    params,
)
from fal_bench.conformance.worlds import WORLDS
from fal_bench.federation.setting import Setting
from fal_bench.learning.model import Weights
from fal_bench.learning.request import Lane, TrainedLane
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked.engine import train_stacked
from fal_bench.plugins.built_in import TRAINER
from fal_bench.plugins.needs import LocalTraining
from fal_bench.plugins.trainer import Trainer

TOLERANCE: Final = 1e-4
EPOCHS: Final = 5
WEIGHT_TOLERANCE: Final = 1e-3
"""Of weights after ``EPOCHS`` epochs, in two engines."""

Engine = Callable[..., tuple[TrainedLane, ...]]


class Losses(NamedTuple):
    """What came of one call.

    Attributes:
        values: the losses.
        gradient: of their sum, shape of the logits; None if they do not depend on the logits.
    """

    values: Tensor
    gradient: Tensor | None


class TrainerSubject(ClassSubject[Trainer]):
    """One trainer under check."""

    kind = TRAINER
    base = Trainer

    @once
    def ordinary(self) -> Losses:
        """The losses of an ordinary batch; others are compared with them."""
        with owned_by("declaration"):
            self.check_methods()
        with owned_by("losses"):
            self.losses(batches.ordinary().lane(0))
            return self.losses(batches.ordinary())

    @once
    def mixes(self) -> bool:
        """Whether the trainer mixes unlabelled samples."""
        _ = self.ordinary
        if self.concentration() is None:
            return False
        with owned_by("mixtures"):
            self.losses(batches.mixtures())
            self.losses(batches.mixtures().lane(0))
        return True

    @property
    def given(self) -> list[Shown]:
        """What it can be asked about: an ordinary batch, and mixtures if it mixes."""
        return [batches.ordinary(), batches.mixtures()] if self.mixes else [batches.ordinary()]

    def concentration(self) -> Any:
        """Return the trainer's ``mixes_unlabelled``.

        Raises:
            Failure: it raised or hung.
        """
        trainer = self.made
        return self.call(lambda: trainer.mixes_unlabelled, "mixes_unlabelled")

    def check_methods(self) -> None:
        """Check that the trainer overrides what it must.

        Raises:
            Failure: it does not.
        """
        if self.code.losses is Trainer.losses:
            raise Failure(f"{self.code.__name__} does not override losses.")
        mixes = self.concentration() is not None
        if mixes and self.code.mixed_losses is Trainer.mixed_losses:
            raise Failure("mixes_unlabelled is set, but mixed_losses is not overridden.")

    def losses(self, shown: Shown) -> Losses:
        """Return the losses of a batch, or of mixtures, and their gradient.

        Raises:
            Failure: the trainer raised or hung, or returned something else than one loss a sample.
        """
        trainer, method = self.made, shown.method

        def compute() -> Losses:
            leaf = shown.logits.clone().requires_grad_()
            # Not the leaf itself: that it must not be changed in place has a check of its own.
            values = getattr(trainer, method)(leaf * 1, shown.batch)
            expected = tuple(shown.logits.shape[:-1])
            got = "None" if values is None else f"a {type(values).__name__}"
            if isinstance(values, Tensor):
                got = f"shape {tuple(values.shape)}"
            if got != f"shape {expected}":
                raise Failure(f"{method} returned {got} instead of shape {expected}.", str(shown))
            if not values.is_floating_point():
                raise Failure(f"{method} returned {values.dtype}, no losses.", str(shown))
            gradient = None
            if values.requires_grad:
                [gradient] = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
            return Losses(values.detach(), gradient)

        return self.call(compute, method, str(shown))

    def call_all(self) -> None:
        """Call every method, to see what else it does."""
        for shown in self.given:
            self.losses(shown)
        with owned_by("probs"):
            self.probs(torch.eye(CLASSES).numpy())

    def probs(self, logits: FloatArray) -> Any:
        """Return what the trainer makes of logits.

        Raises:
            Failure: it raised or hung.
        """
        trainer = self.made
        return self.call(lambda: trainer.probs(logits), "probs", f"logits of {len(logits)} samples")


check = TrainerSubject.check


@check
def declaration(subject: TrainerSubject) -> None:
    """Name, parameters and methods are what the engines expect.

    What to do: Give the class a name without spaces, commas or brackets, such as 'my-loss';
    override losses, and mixed_losses if mixes_unlabelled is set; see fal_bench.Trainer.
    """
    subject.check_class("trainer=")
    trainer = subject.made
    subject.check_methods()
    if not subject.call(lambda: trainer == subject.make(), "comparing two trainers"):
        raise Failure("Two trainers with the same parameters are not equal.")
    mixing = subject.concentration()
    valid = mixing is None or (isinstance(mixing, int | float) and 0 < mixing < math.inf)
    if not valid:
        raise Failure(f"mixes_unlabelled is {mixing!r}, neither None nor above 0.")


check(params)


@check
def losses(subject: TrainerSubject) -> None:
    """Losses returns one loss a sample, for any leading axes.

    What to do: Return a tensor of the shape of batch.labels: reduce over the last axis (classes)
    only, name axes from the end (-1, -2), and let the harness take the mean.
    """
    _ = subject.ordinary


@check
def finite(subject: TrainerSubject) -> None:
    """Losses and gradients are finite, also where the model is sure and wrong.

    What to do: Take logits.log_softmax(-1) instead of the logarithm of a softmax, and clamp what
    may be 0 before a logarithm, a root or a division.
    """
    _ = subject.ordinary
    for shown, words in _ordinary_and_confident():
        _check_finite(subject, shown, words)


def _ordinary_and_confident() -> tuple[tuple[Shown, str], ...]:
    return (batches.ordinary(), "ordinary logits"), (batches.confident(), "logits of +-150")


def _check_finite(subject: TrainerSubject, shown: Shown, words: str) -> None:
    """Check that losses and gradients of a batch are finite."""
    try:
        found = subject.losses(shown)
    except Raised as raised:  # what to do about it, the check knows best
        raise Failure(raised.what, raised.where) from None
    if not found.values.isfinite().all():
        raise Failure(f"With {words} a loss is not finite.", str(shown))
    if found.gradient is not None and not found.gradient.isfinite().all():
        raise Failure(f"With {words} a gradient is not finite.", str(shown))


@check
def gradients(subject: TrainerSubject) -> None:
    """Losses have a gradient.

    What to do: Compute losses from the logits with differentiable operations; detach() and
    argmax() cut the gradient.
    """
    gradient = subject.ordinary.gradient
    if gradient is None:
        raise Failure("The losses do not depend on the logits.", str(batches.ordinary()))
    still = (gradient == 0).all(-1).all(-1)
    if still.any():
        lane = int(still.nonzero()[0])
        raise Failure(f"The gradient of lane {lane} is 0 everywhere.", str(batches.ordinary()))


@check
def global_random(subject: TrainerSubject) -> None:
    """Global random streams are neither read nor touched.

    What to do: A loss must not draw: with draws of its own no run could be repeated. Mixtures of
    unlabelled samples are drawn by the harness (mixes_unlabelled).
    """
    subject.check_random()


@check
def repeatable(subject: TrainerSubject) -> None:
    """The same batch has the same losses, whatever came before.

    What to do: Keep nothing in the trainer between calls: runs of several strategies share its
    code, and resumed runs make a new one. What a loss may know is in the batch.
    """
    _ = subject.ordinary
    subject.require(global_random)
    for shown in subject.given:
        first, *others = (subject.losses(shown).values.nan_to_num() for _ in range(3))
        if not all(torch.equal(first, other) for other in others):
            what = "batch has" if shown.method == "losses" else "mixtures have"
            raise Failure(f"The same {what} other losses the second time.", str(shown))


@check
def settings(subject: TrainerSubject) -> None:
    """Settings of the process are left as they were.

    What to do: Change settings only inside a context that puts them back (np.errstate,
    torch.no_grad).
    """
    subject.check_settings()


@check
def mutation(subject: TrainerSubject) -> None:
    """Logits and batches are not changed.

    What to do: Work on copies: no operation that ends in an underscore on what is passed in, and
    no assignment into it.
    """
    _ = subject.ordinary
    for shown in subject.given:
        _check_unchanged(subject, shown)
    logits = np.linspace(-2, 2, 4 * CLASSES, dtype=np.float32).reshape(4, CLASSES)
    before = logits.copy()
    subject.call_all()
    subject.probs(logits)
    if not np.array_equal(before, logits):
        raise Failure("probs changed its logits in place.")


def _check_unchanged(subject: TrainerSubject, shown: Shown) -> None:
    logits, before, method = shown.logits.clone(), digests(shown.batch, Digests()), shown.method
    compute: Callable[..., object] = getattr(subject.made, method)
    subject.call(lambda: compute(logits, shown.batch), method, str(shown))
    after = digests(shown.batch, Digests())
    names = [f"batch.{name}" for name in before if before[name] != after[name]]
    if not logits.equal(shown.logits):
        names.insert(0, "its logits")
    if names:
        raise Failure(f"{method} changed {', '.join(names)} in place.", str(shown))


@check
def samples(subject: TrainerSubject) -> None:
    """The loss of a sample depends on no other sample of its batch.

    What to do: Compute each loss from its own row and batch.class_counts; do not normalise over a
    batch: some of its rows are padding, which no trainer can tell apart.
    """
    _ = subject.ordinary
    subject.require(repeatable)
    _check_samples(subject, batches.ordinary())


def _check_samples(subject: TrainerSubject, shown: Shown) -> None:
    """Check that what one half of a batch shows does not change the losses of the other.

    Partners of mixtures are of the same half.
    """
    before = subject.losses(shown).values
    half = shown.logits.shape[-2] // 2
    for words, changed, kept in (
        ("last", slice(half, None), slice(half)),
        ("first", slice(half), slice(half, None)),
    ):
        after = subject.losses(shown.changed(changed)).values
        if not _close(before[..., kept], after[..., kept]):
            raise Failure(
                f"Other logits and labels of the {words} samples of a batch change the losses of "
                "the others.",
                str(shown),
            )


def _close(one: Tensor, other: Tensor, tolerance: float = TOLERANCE) -> bool:
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


@check
def lanes(subject: TrainerSubject) -> None:
    """A client has the same losses alone and beside others.

    What to do: Lanes of many clients are trained at once: name axes from the end (-1 classes, -2
    rows), and use keepdim or unsqueeze(-1) before combining what has no axis of rows
    (class_counts, round).
    """
    _ = subject.ordinary
    subject.require(repeatable)
    _check_lanes(subject, batches.ordinary())


def _check_lanes(subject: TrainerSubject, shown: Shown) -> None:
    """Check that each lane has the losses that it has alone, without an axis of lanes."""
    together = subject.losses(shown).values
    for lane in range(LANES):
        if not _close(together[lane], subject.losses(shown.lane(lane)).values):
            raise Failure(f"Lane {lane} has other losses alone than beside others.", str(shown))


@check
def single_sample(subject: TrainerSubject) -> None:
    """A batch of one sample has a finite loss.

    What to do: A client with one label trains on batches of one sample: no squeeze() without an
    axis, no spread over a batch.
    """
    _ = subject.ordinary
    for shown in (batches.ordinary(rows=1), batches.ordinary(rows=1).lane(0)):
        _check_finite(subject, shown, "a single sample")


@check
def absent_class(subject: TrainerSubject) -> None:
    """Classes that a client has no label of leave losses and gradients finite.

    What to do: batch.class_counts may hold zeros: clamp(min=1) before a division or a logarithm.
    Rows of padding have label 0, even where no sample has.
    """
    _ = subject.ordinary
    subject.require(finite)
    _check_finite(subject, batches.absent(), "clients that lack classes, and padding of label 0,")


@check
def mixtures(subject: TrainerSubject) -> None:
    """mixed_losses returns one finite loss a mixture, alike alone and beside others.

    What to do: Return a tensor of the shape of batch.weight; the advice of losses, finite, lanes
    and samples holds here too. A mixture's partner is the one other row that its loss may look at.
    """
    if not subject.mixes:
        raise NotApplicable("it mixes no unlabelled samples")
    subject.require(repeatable)
    _check_finite(subject, batches.mixtures(), "mixtures")
    _check_lanes(subject, batches.mixtures())
    _check_samples(subject, batches.mixtures())


@check
def probs(subject: TrainerSubject) -> None:
    """Probs turns logits into probabilities, sample by sample.

    What to do: Return an array of the shape of the logits, not negative, whose rows sum to 1;
    leave probs out for the softmax.
    """
    for shown, words in _ordinary_and_confident():
        _check_probs(subject, shown.logits.reshape(-1, CLASSES).numpy(), words)


def _check_probs(subject: TrainerSubject, logits: np.ndarray[Any, Any], words: str) -> None:
    found = subject.probs(logits.copy())
    if not isinstance(found, np.ndarray) or found.shape != logits.shape:
        got = getattr(found, "shape", type(found).__name__)
        raise Failure(f"probs returned {got} instead of an array of shape {logits.shape}.")
    if not np.isfinite(found).all() or (found < 0).any():
        raise Failure(f"With {words} a probability is negative or not finite.")
    sums = found.sum(axis=1)
    if np.abs(sums - 1).max() > TOLERANCE:
        worst = sums[np.abs(sums - 1).argmax()]
        raise Failure(f"With {words} a row of probabilities sums to {worst:.4g}, not to 1.")
    alone = subject.probs(logits[:1].copy())
    if not np.allclose(alone, found[:1], rtol=TOLERANCE, atol=TOLERANCE):
        raise Failure("A sample has other probabilities alone than beside others.")


@check
def training(subject: TrainerSubject) -> None:
    """Clients train with it, alike in both engines, and weights stay finite.

    What to do: Scale the loss to the size of a cross-entropy, so that the learning rates of the
    tasks suit it.
    """
    _ = subject.ordinary
    subject.require(finite, gradients, repeatable, mutation, samples, lanes)
    if subject.mixes:
        subject.require(mixtures)
    setting = WORLDS[0].setting()
    task = setting.task
    recipe = LocalTraining(
        EPOCHS, task.batch_size, task.optimiser.lr, stop_at_accuracy=None, trainer=subject.made
    )
    network, classes = setting.architecture.network, setting.dataset.n_classes
    where = f"world {WORLDS[0].name}, {EPOCHS} epochs"
    engines: tuple[Engine, ...] = (train_stacked, train_sequentially)
    stacked, plain = (
        subject.call(
            partial(engine, network, recipe, tuple(_lanes(setting)), classes), "a training", where
        )
        for engine in engines
    )
    for ours, theirs in zip(stacked, plain, strict=True):
        if not all(tensor.isfinite().all() for tensor in ours.weights.values()):
            raise Failure("Weights do not stay finite in a training.", where)
        if not _same_weights(ours.weights, theirs.weights):
            raise Failure("A client trained alone ends at other weights than beside others.", where)


def _lanes(setting: Setting) -> Iterator[Lane]:
    """Yield the training of each client on its initial labels."""
    model = setting.architecture.fresh(setting.streams.torch("check"))
    data = setting.dataset
    for client, ids in enumerate(setting.initial):
        yield Lane(
            model.weights,
            data.train_features[ids],
            data.train_labels[ids],
            setting.streams.numpy("check-batches", client),
            round=1,
            unlabelled=data.train_features[:40],
        )


def _same_weights(ours: Weights, theirs: Weights) -> bool:
    return all(_close(tensor, theirs[name], WEIGHT_TOLERANCE) for name, tensor in ours.items())
