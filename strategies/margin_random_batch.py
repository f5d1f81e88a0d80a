"""FedRAL's second control: margin sampling with random batch sizes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy


class MarginRandomBatchParams(Params):
    """Parameters of ``margin-random-batch``.

    Attributes:
        largest_batch: largest size of the grid; as FedRAL's if None.
    """

    largest_batch: Annotated[int, Field(ge=1)] | None = None


class MarginRandomBatch(Strategy):
    """Smallest margins under the global model, a random number of them from FedRAL's size grid.

    A control for FedRAL (Lazaridis et al.): an agent that has learned nothing.

    Cost: one pass of the global model over the pool. Fails where small sizes leave budget unspent
    in the cycles there are.
    """

    name: ClassVar[str] = "margin-random-batch"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control for FedRAL"
    adaptive: ClassVar[bool] = True
    Params: ClassVar[type[Params]] = MarginRandomBatchParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Draw a size, and pick as many of the smallest margins."""
        from fal_bench.environments.steps import default_sizes, size_grid

        if self.params.largest_batch is not None:
            sizes = size_grid(self.params.largest_batch)
        else:
            sizes = default_sizes(len(client.unlabelled) + len(client.labelled))
        size = int(client.rng.choice(sizes))
        margins = top_two_margin(client.probs(client.global_model))
        return smallest(margins, min(size, budget))
