"""The parameters of strategies that look through a client's local-only model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fal_bench.plugins.needs import LocalModel, LocalTraining
from fal_bench.plugins.strategy import Params


class LocalOnlyParams(Params):
    """How the local-only model is trained; the defaults are LoGo's.

    Attributes:
        epochs: most epochs.
        lr: learning rate.
        batch_size: batch size.
        lr_quirk: drop the learning rate to a tenth after 37 updates, as LoGo's released code does
            (its scheduler steps per batch where epochs are meant).
    """

    epochs: Annotated[int, Field(ge=1)] = 50
    lr: Annotated[float, Field(gt=0)] = 0.01
    batch_size: Annotated[int, Field(ge=1)] = 64
    lr_quirk: bool = False

    @property
    def training(self) -> LocalTraining:
        """The training that the parameters describe."""
        return LocalTraining(
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            lr_drop_step=37 if self.lr_quirk else None,
        )

    @property
    def local_model(self) -> LocalModel:
        """The need for a model trained so, from a fresh initialisation."""
        return LocalModel(self.training)
