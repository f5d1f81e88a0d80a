"""BALD: samples on which networks that differ in dropped units disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import numpy as np
from pydantic import Field

from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy

if TYPE_CHECKING:
    from fal_bench.learning.network import Network

USUAL_SHARE: Final = 0.5
"""Share of the units that is dropped where the model is trained without dropout."""


class BALDParams(Params):
    """Parameters of ``bald``.

    Attributes:
        draws: networks that are drawn.
        dropout: share of the head's inputs that each of them drops; if None, the share that the
            model drops in training, and a half if it drops nothing.
    """

    draws: Annotated[int, Field(ge=2, le=10_000)] = 20
    dropout: Annotated[float, Field(gt=0, lt=1)] | None = None


class BALD(Strategy):
    """Largest mutual information of label and weights, by dropout before the head.

    Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning", 2011,
    with the dropout of Gal, Islam & Ghahramani, "Deep Bayesian Active Learning with Image Data",
    ICML 2017: the entropy of the mean prediction of networks that drop units at random, minus their
    mean entropy. It is large where each of them is sure and they disagree.

    Units are dropped among the head's inputs alone, where falbench's own models have their dropout
    (``model = { kind = "cnn", dropout = 0.5 }``). A model that is trained without it is not one of
    the paper's; half of its units are dropped then, unless ``dropout`` says otherwise. A network
    drops the same units for all samples (Kirsch et al., "BatchBALD", NeurIPS 2019), which is one
    draw of the weights. Outputs are read by the softmax.

    Needs: the global model's embeddings and head. Cost: one pass over the pool, and the head once
    a draw. Fails where samples are alike: the largest scores are often near-duplicates.
    """

    name: ClassVar[str] = "bald"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "BALD, Houlsby et al., 2011; Gal et al., ICML 2017"
    Params: ClassVar[type[Params]] = BALDParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` samples on which the networks disagree most."""
        from scipy.special import softmax

        model = client.global_model
        network = model.module()
        weight = network.head.weight.detach().numpy().astype(np.float64)
        share = self._share(network)
        embeddings, logits = client.embeddings(model), client.logits(model)
        mean, entropies = np.zeros(logits.shape), np.zeros(len(logits))
        for _ in range(self.params.draws):
            kept = (client.rng.random(weight.shape[1]) >= share) / (1 - share)
            probs = softmax(logits + embeddings @ (weight * (kept - 1)).T, axis=1)
            mean += probs / self.params.draws
            entropies += entropy(probs) / self.params.draws
        return largest(entropy(mean) - entropies, budget)

    def _share(self, network: Network) -> float:
        """Return the share of units to drop: the parameter, or the model's own."""
        if self.params.dropout is not None:
            return float(self.params.dropout)
        own = getattr(getattr(network, "dropout", None), "share", 0.0)
        return float(own) or USUAL_SHARE
