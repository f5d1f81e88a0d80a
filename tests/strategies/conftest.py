"""A toy client whose predictions are given, for golden values by hand."""

from __future__ import annotations

import numpy as np
import pytest


class ToyClient:
    """A client view over fixed predictions: models are names."""

    def __init__(self, probs, embeddings=None, seed=0):
        self.index, self.cycle = 0, 0
        self._probs = {name: np.asarray(table, dtype=np.float32) for name, table in probs.items()}
        self._embeddings = {
            name: np.asarray(table, dtype=np.float32) for name, table in (embeddings or {}).items()
        }
        self.global_model, self.local_model = "global", "local"
        self.unlabelled = np.arange(len(next(iter(self._probs.values())))) + 100
        self.rng = np.random.default_rng(seed)
        self.memory = {}

    def probs(self, model, ids=None):
        return self._probs[model]

    def embeddings(self, model, ids=None):
        return self._embeddings[model]


@pytest.fixture
def toy_client():
    return ToyClient
