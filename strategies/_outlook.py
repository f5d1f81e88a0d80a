"""Whose predictions a rule reads: the global model's, the client's own, or those of both."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fal_bench.acquisition.points import MeanProducts, Points, last_layer_gradients
from fal_bench.arrays import FloatArray, IntArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy, Train
from fal_bench.strategies._local_only import LocalOnly, LocalOnlyParams

if TYPE_CHECKING:
    from fal_bench.learning.model import Model


class Outlook:
    """What one model, or several on average, say about a client's samples.

    Args:
        client: the client.
        models: the models, at least one.
    """

    def __init__(self, client: ClientView, *models: Model) -> None:
        self._client = client
        self._models = models

    def probs(self) -> FloatArray:
        """Return the mean of the softmax outputs on the unlabelled samples, shape (n, classes)."""
        return _mean([self._client.probs(model) for model in self._models])

    def embeddings(self, ids: IntArray | None = None) -> FloatArray:
        """Return the mean of the head's inputs, shape (n, d), of ``unlabelled`` or of ``ids``."""
        return _mean([self._client.embeddings(model, ids) for model in self._models])

    def gradients(self) -> Points:
        """Return the mean of the gradients that each model's own predicted classes would give."""
        client = self._client
        own = [
            last_layer_gradients(client.embeddings(model), client.probs(model))
            for model in self._models
        ]
        return own[0] if len(own) == 1 else MeanProducts(own)


class Rule(Strategy):
    """A rule of selection; which model it reads is what its variants differ in."""

    @abstractmethod
    def pick(self, client: ClientView, seen: Outlook, budget: int) -> IntArray:
        """Return ``budget`` positions in ``client.unlabelled``."""


class ByGlobalModel(Rule):
    """A rule that reads the global model."""

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick by the global model."""
        return self.pick(client, Outlook(client, client.global_model), budget)


class ByLocalModel(LocalOnly, Rule):
    """A rule that reads the local-only model (the ``sal-`` strategies)."""

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick by the model that is trained on the client's own labels only."""
        return self.pick(client, Outlook(client, client.local_model), budget)


class ByBothModels(LocalOnly, Rule):
    """A rule that reads the mean of the global and the local-only model (``ens-``)."""

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick by the two models together."""
        return self.pick(client, Outlook(client, client.global_model, client.local_model), budget)


class ByTunedModel(Rule):
    """A rule that reads the global model, tuned on the client's own labels (``ft-``)."""

    Params: ClassVar[type[Params]] = LocalOnlyParams

    def select(self, client: ClientView, budget: int) -> Generator[Train, Model, IntArray]:
        """Tune the global model, then pick by it."""
        tuned = yield Train(self.params.training, start=client.global_model)
        return self.pick(client, Outlook(client, tuned), budget)


def _mean(arrays: Sequence[FloatArray]) -> FloatArray:
    """Return the mean of arrays; a single one as it is."""
    if len(arrays) == 1:
        return arrays[0]
    total: FloatArray = sum(arrays[1:], arrays[0])
    mean: FloatArray = total / np.float32(len(arrays))
    return mean
