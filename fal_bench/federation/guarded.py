"""Trainers of plugins: every call of their code runs inside a guard, and has its name if it fails.

Built-in trainers are never guarded, so they cost nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

from fal_bench.arrays import FloatArray
from fal_bench.errors import PluginError, message_of
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.trainer import LocalBatch, MixedBatch, Trainer

if TYPE_CHECKING:
    from torch import Tensor

    from fal_bench.plugins.aggregation import Aggregation
    from fal_bench.plugins.strategy import Strategy

Result = TypeVar("Result")

Guard = Callable[[], AbstractContextManager[None]]
"""Returns a context in which one call of a trainer's code runs."""


class GuardedTrainer(Trainer):
    """A trainer that calls another one inside a guard.

    Args:
        inner: the trainer.
        guard: what each of its calls runs in.

    Attributes:
        inner: the trainer.
    """

    def __init__(self, inner: Trainer, guard: Guard) -> None:
        self.name = inner.name  # type: ignore[misc]  # each object speaks for another trainer
        self.params = inner.params
        self.inner = inner
        self._guard = guard

    def losses(self, logits: Tensor, batch: LocalBatch) -> Tensor:
        """Return the inner trainer's losses."""
        return self._call(lambda: self.inner.losses(logits, batch))

    @property
    def mixes_unlabelled(self) -> float | None:
        """The inner trainer's."""
        return self._call(lambda: self.inner.mixes_unlabelled)

    def mixed_losses(self, logits: Tensor, batch: MixedBatch) -> Tensor:
        """Return the inner trainer's losses of mixtures."""
        return self._call(lambda: self.inner.mixed_losses(logits, batch))

    def probs(self, logits: FloatArray) -> FloatArray:
        """Return the inner trainer's probabilities."""
        return self._call(lambda: self.inner.probs(logits))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GuardedTrainer) and other.inner == self.inner

    def __hash__(self) -> int:
        return hash(self.inner)

    def _call(self, function: Callable[[], Result]) -> Result:
        """Run the inner trainer's code.

        Raises:
            PluginError: it raised.
        """
        try:
            with self._guard():
                return function()
        except BaseException as error:
            let_interrupts_pass(error)
            said = message_of(error, type(self.inner))
            raise PluginError(f"Trainer {self.name!r} failed: {said}") from error


def is_built_in(plugin: Strategy | Trainer | Aggregation) -> bool:
    """Whether a plugin is part of falbench, and so known to return."""
    return type(plugin).__module__.partition(".")[0] == __package__.partition(".")[0]


def guarded(trainer: Trainer, guard: Guard) -> Trainer:
    """Return a trainer whose calls run inside ``guard``; a built-in one as it is."""
    return trainer if is_built_in(trainer) else GuardedTrainer(unguarded(trainer), guard)


def unguarded(trainer: Trainer) -> Trainer:
    """Return the trainer without its guard."""
    return trainer.inner if isinstance(trainer, GuardedTrainer) else trainer
