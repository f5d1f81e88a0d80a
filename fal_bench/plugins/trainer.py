"""The trainer contract: what clients minimise in local training, and how outputs become classes.

Most strategies share one trainer, cross-entropy, so that a comparison is of selections alone. Some
published methods change training too; their trainer is a plugin of its own, so that selection and
training can be told apart. The smallest one is a class with a ``name`` and a ``losses``::

    class LabelSmoothing(Trainer):
        name = "label-smoothing"

        def losses(self, logits, batch):
            log_probs = logits.log_softmax(-1)
            true = log_probs.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)
            return -0.9 * true - 0.1 * log_probs.mean(-1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import ValidationError

from fal_bench.arrays import FloatArray
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.params import Params, explain

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LocalBatch:
    """What a loss may know of one step. Many clients train at once, so ``...`` are any axes.

    Attributes:
        labels: shape (..., rows).
        class_counts: the client's labelled samples of each class, shape (..., n_classes).
        round: the round of the cycle, from 0, shape (...).
        teacher_logits: logits of the teacher on the samples, shape (..., rows, n_classes); only
            in a distillation.
    """

    labels: Tensor
    class_counts: Tensor
    round: Tensor
    teacher_logits: Tensor | None = None


@dataclass(frozen=True)
class MixedBatch:
    """Mixtures of a client's unlabelled samples: weight * x_i + (1 - weight) * x_partner(i).

    Attributes:
        weight: shape (..., rows).
        partner: the row of the other mixture that shares x_partner(i), shape (..., rows).
        class_counts: see ``LocalBatch``.
        round: see ``LocalBatch``.
        start_logits: logits on the mixtures of the model that the round started from, the
            federation's global model, shape (..., rows, n_classes).
    """

    weight: Tensor
    partner: Tensor
    class_counts: Tensor
    round: Tensor
    start_logits: Tensor


class Trainer:
    """Base class of all trainers.

    Losses are written for any leading axes, because many clients train at once, and must not look
    at values in Python (no ``.item()``, no ``if`` on a tensor). Two trainers with the same class
    and parameters are equal.

    Attributes:
        name: the name used on the command line and in results.
        version: raised whenever the numbers change; ``None`` (external plugins) means that the
            hash of the source takes its place.
        Params: the class of the parameters.

    Args:
        params: values by name, as given on the command line.

    Raises:
        InvalidSpecError: a parameter is unknown or has a value it cannot take.
    """

    name: ClassVar[str]
    version: ClassVar[int | None] = None
    Params: ClassVar[type[Params]] = Params

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        try:
            self.params: Any = self.Params.model_validate(params or {})
        except ValidationError as error:
            raise InvalidSpecError(explain("Trainer", self.name, self.Params, error)) from None

    def losses(self, logits: Tensor, batch: LocalBatch) -> Tensor:
        """Return the loss of every sample; a step minimises their mean.

        Args:
            logits: the model's outputs, shape (..., rows, n_classes).
            batch: the samples' labels, and what is known of the client.

        Returns:
            Shape (..., rows); finite also for rows that are padding (label 0).
        """
        raise NotImplementedError(f"{type(self).__name__} must override losses")

    @property
    def mixes_unlabelled(self) -> float | None:
        """Concentration a of the Beta(a, a) law of the mixing weights; None: no mixtures.

        If set, every step also minimises the mean of ``mixed_losses`` over as many mixtures of
        unlabelled samples.
        """
        return None

    def mixed_losses(self, logits: Tensor, batch: MixedBatch) -> Tensor:
        """Return the loss of every mixture of unlabelled samples, shape (..., rows).

        Args:
            logits: the model's outputs on the mixtures, shape (..., rows, n_classes).
            batch: how they were mixed, and what the global model says about them.
        """
        raise NotImplementedError(f"{type(self).__name__} must override mixed_losses")

    def probs(self, logits: FloatArray) -> FloatArray:
        """Return class probabilities, shape (n, n_classes), from logits; softmax by default."""
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        probs: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
        return probs

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.params == self.params

    def __hash__(self) -> int:
        return hash((type(self), self.params))
