"""BADGE under the global model: diverse gradient embeddings of large norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fal_bench.acquisition.diversity import First, k_means_plus_plus
from fal_bench.acquisition.points import last_layer_gradients
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy

if TYPE_CHECKING:
    from fal_bench.learning.model import Model


class BadgeParams(Params):
    """Parameters of ``badge``.

    Attributes:
        first: the first point: drawn at random, as k-means++ does (the paper's), or the one with
            the largest norm (the released code's).
    """

    first: First = "random"


class Badge(Strategy):
    """k-means++ sampling on hallucinated last-layer gradients of the global model.

    Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", ICLR
    2020. The gradient of a sample's loss, with its predicted class as label, is long where the
    model is uncertain; k-means++ draws points that are long and far from each other. The released
    code takes the longest first (``first``). Gradients are kept as outer products and never
    multiplied out (``fal_bench.acquisition.points.OuterProducts``).

    Needs: the global model's probabilities and embeddings. Cost: one pass over the pool, then
    pool x (classes + embedding size) operations a label; memory linear in the pool. Fails where
    the model is sure of everything: all gradients are zero then, and the draw is uniform.
    """

    name: ClassVar[str] = "badge"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "hybrid"
    paper: ClassVar[str] = "BADGE, Ash et al., ICLR 2020"
    Params: ClassVar[type[Params]] = BadgeParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Draw ``budget`` samples, each with chances as its squared distance to the drawn."""
        model = self._model(client)
        gradients = last_layer_gradients(client.embeddings(model), client.probs(model))
        return k_means_plus_plus(gradients, budget, client.rng, self.params.first)

    def _model(self, client: ClientView) -> Model:
        return client.global_model
