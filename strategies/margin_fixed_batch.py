"""FedRAL's first control: margin sampling with one batch size throughout."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy


class MarginFixedBatchParams(Params):
    """Parameters of ``margin-fixed-batch``.

    Attributes:
        size: labels to buy a cycle, as far as the client's remaining budget allows.
    """

    size: Annotated[int, Field(ge=1)] = 5


class MarginFixedBatch(Strategy):
    """Smallest margins under the global model, always the same number of them.

    A control for FedRAL (Lazaridis et al.), whose agents choose batch sizes: what does choosing
    gain over not choosing?

    Cost: one pass of the global model over the pool. Fails where its size is too small to reach
    the target in the cycles there are.
    """

    name: ClassVar[str] = "margin-fixed-batch"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control for FedRAL"
    deterministic: ClassVar[bool] = True
    adaptive: ClassVar[bool] = True
    Params: ClassVar[type[Params]] = MarginFixedBatchParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the smallest margins."""
        margins = top_two_margin(client.probs(client.global_model))
        return smallest(margins, min(self.params.size, budget))
