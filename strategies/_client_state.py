"""What a client keeps to itself while a coordinated strategy selects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.acquisition.points import normalised
from fal_bench.arrays import RealArray
from fal_bench.plugins.strategy import ClientView


def unit_embeddings(client: ClientView) -> RealArray:
    """Return embeddings under the global model, scaled to unit length, shape (n + m, d).

    Those of the n unlabelled samples come first, then those of the m labelled ones.
    """
    model = client.global_model
    embeddings = [client.embeddings(model), client.embeddings(model, client.labelled)]
    return normalised(np.concatenate(embeddings))


class ClientState:
    """One client's embeddings and purchases during one query; nothing of it travels by itself.

    Args:
        client: the client.
        budget: labels it may buy in this query.

    Attributes:
        client: the client.
        points: embeddings of unlabelled, then labelled samples under the global model, scaled to
            unit length, shape (n + m, d).
        unlabelled: n.
        chosen: positions in ``client.unlabelled`` bought so far.
    """

    def __init__(self, client: ClientView, budget: int) -> None:
        self.client = client
        self.points: RealArray = unit_embeddings(client)
        self.unlabelled = len(client.unlabelled)
        self.chosen: list[int] = []
        self._budget = budget
        self._left: NDArray[Any] = np.ones(self.unlabelled, dtype=bool)

    @property
    def for_sale(self) -> NDArray[Any]:
        """Which unlabelled samples can still be bought, shape (n,); none without budget."""
        return self._left if len(self.chosen) < self._budget else np.zeros_like(self._left)

    def take(self, position: int) -> None:
        """Buy the label of an unlabelled sample."""
        self._left[position] = False
        self.chosen.append(position)
