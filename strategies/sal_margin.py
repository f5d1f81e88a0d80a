"""S-AL with margin sampling: each client's own model chooses."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fal_bench.needs import LocalModel, LocalTraining, Need
from fal_bench.scores import smallest, top_two_margin
from fal_bench.strategy import ClientView, IntArray, Params, Strategy


class SalMarginParams(Params):
    """Parameters of ``sal-margin``: the training of the local-only model.

    Attributes:
        epochs: most epochs.
        lr: learning rate.
        batch_size: batch size.
    """

    epochs: Annotated[int, Field(ge=1)] = 50
    lr: Annotated[float, Field(gt=0)] = 0.01
    batch_size: Annotated[int, Field(ge=1)] = 64


class SalMargin(Strategy):
    """Smallest top-two margin under each client's local-only model.

    The separate arm (S-AL) of F-AL (Ahn et al., IEEE Access 12, 2024), its control: a client
    chooses with a model trained on its own labels only. The local model is trained as LoGo's is
    (``fal_bench.needs.LocalTraining``), because the paper's settings are not public.

    Cost: one training per client and cycle, one pass over the pool. Fails where a client has few
    labels or few classes.
    """

    name: ClassVar[str] = "sal-margin"
    version: ClassVar[int | None] = 1
    deterministic: ClassVar[bool] = True
    Params: ClassVar[type[Params]] = SalMarginParams

    @property
    def needs(self) -> frozenset[Need]:
        """A local-only model, trained as the parameters say."""
        training = LocalTraining(
            epochs=self.params.epochs, lr=self.params.lr, batch_size=self.params.batch_size
        )
        return frozenset({LocalModel(training)})

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` smallest margins."""
        return smallest(top_two_margin(client.probs(client.local_model)), budget)
