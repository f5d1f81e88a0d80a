"""The subject of a check: a trainer, how to make it, and what it says of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from fal_bench.arrays import FloatArray
from fal_bench.conformance.advice import ON_HANG, advice_on, line_of, told
from fal_bench.conformance.base import Broken, Check, Failure, Raised
from fal_bench.conformance.batches import Shown, mixtures, ordinary
from fal_bench.conformance.deadline import HangError, Pulse, within
from fal_bench.conformance.surroundings import changed, random_streams, seed_streams, settings
from fal_bench.errors import InvalidSpecError
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.trainer import LocalBatch, Trainer

Result = TypeVar("Result")


@dataclass(frozen=True)
class Losses:
    """What came of one call.

    Attributes:
        values: the losses.
        gradient: of their sum, shape of the logits; None if they do not depend on the logits.
    """

    values: Tensor
    gradient: Tensor | None


class TrainerSubject:
    """One trainer under check.

    Args:
        trainer: a class, which is checked with its default parameters, or an object, which is
            checked with its own.
        limit: seconds that one call may take.

    Attributes:
        kind: its class.
        random: global random streams that it has touched so far.
        settings: settings of the process that it has changed so far.

    Raises:
        InvalidSpecError: it is no trainer.
    """

    def __init__(self, trainer: type[Trainer] | Trainer, limit: float) -> None:
        self.kind = trainer if isinstance(trainer, type) else type(trainer)
        if not issubclass(self.kind, Trainer):
            raise InvalidSpecError(
                f"{self.kind.__name__} is not a trainer; derive it from fal_bench.Trainer."
            )
        self._limit = limit
        self._given: dict[str, Any] = {}
        self.random: set[str] = set()
        self.settings: set[str] = set()
        if isinstance(trainer, Trainer):
            self._given = {
                name: getattr(trainer.params, name) for name in trainer.params.model_fields_set
            }

    @property
    def name(self) -> str:
        """The trainer's name, or that of its class if it has none."""
        return str(getattr(self.kind, "name", self.kind.__name__))

    def make(self) -> Trainer:
        """Return a new trainer with the parameters under check."""
        return self.kind(dict(self._given))

    @property
    def made(self) -> Trainer:
        """The trainer.

        Raises:
            Broken: it cannot be made.
        """
        if isinstance(self._made, Broken):
            raise self._made
        return self._made

    @cached_property
    def _made(self) -> Trainer | Broken:
        try:
            return within(self._limit, Pulse(), self.make)
        except BaseException as error:
            let_interrupts_pass(error)
            named = "" if isinstance(error, InvalidSpecError) else f"{type(error).__name__}: "
            advice = ON_HANG if isinstance(error, HangError) else advice_on(error, self.kind)
            what = f"The trainer cannot be made: {named}{told(error, self.kind)}"
            return Broken("params", Failure(what, advice=advice))

    @property
    def ordinary(self) -> Losses:
        """The losses of an ordinary batch; others are compared with them.

        Raises:
            Broken: there are none.
        """
        if isinstance(self._ordinary, Broken):
            raise self._ordinary
        return self._ordinary

    @cached_property
    def _ordinary(self) -> Losses | Broken:
        try:
            self.check_methods()
        except Failure as failure:
            return Broken("declaration", failure)
        try:
            self.losses(ordinary().lane(0))
            return self.losses(ordinary())
        except Failure as failure:
            return Broken("losses", failure)

    @property
    def mixes(self) -> bool:
        """Whether the trainer mixes unlabelled samples.

        Raises:
            Broken: it cannot be made, or its losses of mixtures cannot be had.
        """
        if isinstance(self._mixes, Broken):
            raise self._mixes
        return self._mixes

    @cached_property
    def _mixes(self) -> bool | Broken:
        _ = self.ordinary
        if self.concentration() is None:
            return False
        try:
            self.losses(mixtures())
            self.losses(mixtures().lane(0))
        except Failure as failure:
            return Broken("mixtures", failure)
        return True

    def concentration(self) -> Any:
        """Return the trainer's ``mixes_unlabelled``.

        Raises:
            Failure: it raised or hung.
        """
        trainer = self.made
        return self.call(lambda: trainer.mixes_unlabelled, "mixes_unlabelled", "")

    def check_methods(self) -> None:
        """Check that the trainer overrides what it must.

        Raises:
            Failure: it does not.
        """
        if self.kind.losses is Trainer.losses:
            raise Failure(f"{self.kind.__name__} does not override losses.")
        mixes = self.concentration() is not None
        if mixes and self.kind.mixed_losses is Trainer.mixed_losses:
            raise Failure("mixes_unlabelled is set, but mixed_losses is not overridden.")

    def losses(self, shown: Shown) -> Losses:
        """Return the losses of a batch, or of mixtures, and their gradient.

        Raises:
            Failure: the trainer raised or hung, or returned something else than one loss a sample.
        """
        trainer = self.made
        of_mixtures = not isinstance(shown.batch, LocalBatch)
        method = "mixed_losses" if of_mixtures else "losses"

        def compute() -> Losses:
            leaf = shown.logits.clone().requires_grad_()
            # Not the leaf itself: that it must not be changed in place has a check of its own.
            values = getattr(trainer, method)(leaf * 1, shown.batch)
            expected = tuple(shown.logits.shape[:-1])
            if not isinstance(values, Tensor) or tuple(values.shape) != expected:
                got = "None" if values is None else f"a {type(values).__name__}"
                if isinstance(values, Tensor):
                    got = f"shape {tuple(values.shape)}"
                raise Failure(f"{method} returned {got} instead of shape {expected}.", str(shown))
            if not values.is_floating_point():
                raise Failure(f"{method} returned {values.dtype}, no losses.", str(shown))
            gradient = None
            if values.requires_grad:
                [gradient] = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
            return Losses(values.detach(), gradient)

        return self.call(compute, method, str(shown))

    def see_probs(self, logits: FloatArray) -> None:
        """Call ``probs`` to see what else it does.

        Raises:
            Broken: it raised or hung.
        """
        try:
            self.probs(logits)
        except Failure as failure:
            raise Broken("probs", failure) from None

    def probs(self, logits: FloatArray) -> Any:
        """Return what the trainer makes of logits.

        Raises:
            Failure: it raised or hung.
        """
        trainer = self.made
        return self.call(lambda: trainer.probs(logits), "probs", f"logits of {len(logits)} samples")

    def call(self, function: Callable[[], Result], what: str, where: str) -> Result:
        """Run code of the trainer and note what it does to its surroundings.

        The global random streams are put at one place first, so that two calls can be compared.

        Raises:
            Failure: it raised or hung.
        """

        def run() -> Result:
            seed_streams(0)
            streams, rules = random_streams(), settings()
            try:
                return function()
            finally:
                self.random.update(changed(streams, random_streams()))
                self.settings.update(changed(rules, settings()))

        try:
            return within(self._limit, Pulse(), run)
        except Failure:
            raise
        except HangError as error:
            line = line_of(error.stack, self.kind)
            at = f"; it was at {line}" if line else ""
            said = f"{what} was not over within {self._limit:g} s{at}."
            raise Failure(said, where, ON_HANG) from None
        except BaseException as error:
            let_interrupts_pass(error)
            said = f"{what} raised {type(error).__name__}: {told(error, self.kind)}"
            raise Raised(said, where, advice_on(error, self.kind)) from error

    def require(self, check: Check[TrainerSubject]) -> None:
        """Have a check that another one builds on done first.

        Raises:
            Broken: it does not hold.
        """
        try:
            check.run(self)
        except Failure as failure:
            raise Broken(check.name, failure) from None
