"""What strategies share that look through a client's local-only model."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fal_bench.plugins.needs import LocalModel, LocalTraining, Need
from fal_bench.plugins.strategy import Params, Strategy


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


class LocalOnly(Strategy):
    """A strategy that needs a local-only model, trained as its parameters say."""

    Params: ClassVar[type[Params]] = LocalOnlyParams

    @property
    def needs(self) -> frozenset[Need]:
        """A model of each client, trained from a fresh initialisation on its labels."""
        return frozenset({LocalModel(self.params.training)})
