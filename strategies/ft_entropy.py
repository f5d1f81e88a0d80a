"""Fine-tuned entropy: the global model, adapted to the client, chooses."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, ClassVar

from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy, Train
from fal_bench.strategies._local_only import LocalOnlyParams

if TYPE_CHECKING:
    from fal_bench.learning.model import Model


class FtEntropy(Strategy):
    """Largest entropy under the global model after fine-tuning on the client's own labels.

    One of the ways to join global and local knowledge that LoGo (Kim et al., CVPR 2023) compares
    itself with. Trained as LoGo's local-only model, but from the global model's weights.

    Needs: the global model. Cost: one training per client and cycle, short where the global model
    fits the client's labels already; one pass over the pool. Fails where fine-tuning makes no
    difference (``fal-entropy`` costs less then) or forgets what other clients knew.
    """

    name: ClassVar[str] = "ft-entropy"
    version: ClassVar[int | None] = 2
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "LoGo, Kim et al., CVPR 2023"
    Params: ClassVar[type[Params]] = LocalOnlyParams

    def select(self, client: ClientView, budget: int) -> Generator[Train, Model, IntArray]:
        """Fine-tune, then pick the ``budget`` largest entropies."""
        tuned = yield Train(self.params.training, start=client.global_model)
        return largest(entropy(client.probs(tuned)), budget)
