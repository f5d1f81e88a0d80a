"""What strategies share that look through a client's local-only model."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from fal_bench.plugins.needs import LIKE_TASK, LocalModel, LocalTraining, Need
from fal_bench.plugins.strategy import Params, Strategy


class LocalOnlyParams(Params):
    """How the local-only model is trained: as LoGo's is, with the task's own settings.

    Attributes:
        epochs: most epochs; training ends before as soon as the model knows 99 % of its labels.
        lr: learning rate; the task's if None.
        batch_size: batch size; the task's if None.
        momentum: momentum of SGD; the task's if None.
        weight_decay: L2 penalty; the task's if None.
        lr_quirk: drop the learning rate to a tenth after 37 updates, as LoGo's released code does
            (its scheduler steps per batch where epochs are meant).
    """

    epochs: Annotated[int, Field(ge=1)] = LIKE_TASK.epochs
    lr: Annotated[float, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    lr_quirk: bool = False

    @property
    def training(self) -> LocalTraining:
        """The training that the parameters describe."""
        names = ("lr", "batch_size", "momentum", "weight_decay")
        asked = {name: value for name in names if (value := getattr(self, name)) is not None}
        return replace(
            LIKE_TASK,
            epochs=self.epochs,
            lr_drop_step=37 if self.lr_quirk else None,
            inherited=LIKE_TASK.inherited - frozenset(asked),
            **asked,
        )


class LocalOnly(Strategy):
    """A strategy that needs a local-only model, trained as its parameters say."""

    Params: ClassVar[type[Params]] = LocalOnlyParams

    @property
    def needs(self) -> frozenset[Need]:
        """A model of each client, trained from a fresh initialisation on its labels."""
        return frozenset({LocalModel(self.params.training)})
