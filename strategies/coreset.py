"""Core-set selection under the global model: no sample far from a labelled one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fal_bench.acquisition.diversity import k_centre_greedy
from fal_bench.acquisition.points import Vectors
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Strategy

if TYPE_CHECKING:
    from fal_bench.learning.model import Model


class CoreSet(Strategy):
    """k-centre greedy on the global model's embeddings, with the labelled samples as centres.

    Sener & Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
    ICLR 2018; the greedy algorithm, which starts the paper's mixed-integer refinement and is what
    the field runs under the name. Each pick is the sample farthest from all labelled and picked
    ones; ties go to the smaller id.

    Needs: the global model's embeddings of labelled and unlabelled samples. Cost: one pass over
    both, labelled x pool distances, then pool x embedding size operations a label; memory linear
    in the pool. Fails on outliers, which are far from everything, and where embeddings are
    high-dimensional and all distances alike.
    """

    name: ClassVar[str] = "coreset"
    version: ClassVar[int | None] = 1
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "Core-set, Sener & Savarese, ICLR 2018"

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick ``budget`` samples, each the farthest from what is labelled or picked."""
        model = self._model(client)
        pool = Vectors(client.embeddings(model))
        labelled = Vectors(client.embeddings(model, client.labelled))
        return k_centre_greedy(pool, budget, labelled)

    def _model(self, client: ClientView) -> Model:
        return client.global_model
