"""The optimisers of clients' local training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from fal_bench.inputs.limits import MOST_CYCLES, MOST_RATE, Rounds
from fal_bench.plugins.needs import Adam as AdamStep
from fal_bench.task.spec import Spec


class _Optimiser(Spec):
    """What all optimisers of the clients' local training have.

    Attributes:
        lr: learning rate.
        weight_decay: L2 penalty added to the gradient; AdamW lets weights decay apart from it.
        milestones: rounds after which the learning rate is multiplied by ``gamma``.
        gamma: the factor applied at each milestone.
        schedule: ``"milestones"``, or ``"cosine"``: half a cosine, from ``lr`` in the first round
            of a cycle towards zero after the last one.
        state: whether momentum, or Adam's means, begin at rest in every round (``"reset"``), or
            stay with the client for the rounds of a cycle (``"kept"``).
    """

    lr: float = Field(default=0.1, gt=0, le=MOST_RATE)
    weight_decay: float = Field(default=0.0, ge=0, le=MOST_RATE)
    milestones: Annotated[tuple[Rounds, ...], Field(max_length=MOST_CYCLES)] = ()
    gamma: float = Field(default=0.1, gt=0, le=1)
    schedule: Literal["milestones", "cosine"] = "milestones"
    state: Literal["reset", "kept"] = "reset"

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        if self.schedule == "cosine" and self.milestones:
            raise ValueError(
                "milestones belong to the schedule 'milestones', not to 'cosine'; leave one out"
            )
        return self

    def lr_at(self, number: int, rounds: int) -> float:
        """Return the learning rate of a round.

        Args:
            number: the round, from 0.
            rounds: of a cycle.
        """
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * number / rounds)) / 2
        passed = sum(number >= milestone for milestone in self.milestones)
        return self.lr * self.gamma**passed


class Sgd(_Optimiser):
    """Stochastic gradient descent.

    Attributes:
        momentum: momentum.
    """

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.0, ge=0, lt=1)

    @property
    def adam(self) -> AdamStep | None:
        """Adam's step, which this is not."""
        return None


class _AdamLike(_Optimiser):
    """What Adam and AdamW have in common.

    Attributes:
        beta1: how much of the mean of the gradients is kept at a step.
        beta2: how much of the mean of their squares is kept.
        epsilon: added to the root of that mean.
    """

    lr: float = Field(default=1e-3, gt=0, le=MOST_RATE)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, ge=1e-30, le=MOST_RATE)

    @property
    def momentum(self) -> float:
        """SGD's momentum, which it has not."""
        return 0.0


class Adam(_AdamLike):
    """Adam (Kingma & Ba, ICLR 2015), with PyTorch's defaults."""

    kind: Literal["adam"] = "adam"

    @property
    def adam(self) -> AdamStep:
        """Adam's step."""
        return AdamStep(self.beta1, self.beta2, self.epsilon, decoupled=False)


class AdamW(_AdamLike):
    """AdamW (Loshchilov & Hutter, ICLR 2019), with PyTorch's defaults."""

    kind: Literal["adamw"] = "adamw"
    weight_decay: float = Field(default=0.01, ge=0, le=MOST_RATE)

    @property
    def adam(self) -> AdamStep:
        """Adam's step."""
        return AdamStep(self.beta1, self.beta2, self.epsilon, decoupled=True)


def _optimiser_kind(value: Any) -> Any:
    """Return the kind of an optimiser: ``"sgd"`` where a table leaves it out."""
    return value.get("kind", "sgd") if isinstance(value, Mapping) else getattr(value, "kind", "sgd")


Optimiser = Annotated[
    Annotated[Sgd, Tag("sgd")] | Annotated[Adam, Tag("adam")] | Annotated[AdamW, Tag("adamw")],
    Discriminator(_optimiser_kind),
]
