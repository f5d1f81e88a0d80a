"""Toy clients whose models are tables, for golden values by hand or found another way."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import softmax

from fal_bench.federation.view import LiveFederationView


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


class ToyModel:
    """A model that is a table of embeddings and a linear head.

    Args:
        embeddings: of all samples, unlabelled ones first, shape (n + m, d).
        weight: the head's weights, shape (n_classes, d).
        bias: shape (n_classes,); zero if None.
        probs: given instead of the head's softmax, if not None.
    """

    def __init__(self, embeddings, weight, bias=None, probs=None):
        self.embeddings = np.asarray(embeddings, dtype=np.float32)
        self.weight = np.asarray(weight, dtype=np.float32)
        self.bias = np.zeros(len(self.weight), np.float32) if bias is None else np.float32(bias)
        self.logits = self.embeddings @ self.weight.T + self.bias
        self.probs = softmax(self.logits, axis=1) if probs is None else np.float32(probs)

    def module(self):
        weight, bias = (torch.tensor(array) for array in (self.weight, self.bias))
        return SimpleNamespace(head=SimpleNamespace(weight=weight, bias=bias))

    @classmethod
    def drawn(cls, rng, samples, d=4, n_classes=3):
        return cls(rng.normal(size=(samples, d)), rng.normal(size=(n_classes, d)))


class ToyPool:
    """Samples 0..n-1 are unlabelled, n..n+m-1 labelled.

    Args:
        labels: of the labelled samples, shape (m,).
        seed: of the strategy's stream.
        global_model: predicts for the whole federation.
        local_model: the client's own; the same if None.
    """

    def __init__(self, labels, global_model, local_model=None, seed=0, index=0):
        n = len(global_model.embeddings) - len(labels)
        self.index, self.cycle, self.memory = index, 0, {}
        self.unlabelled, self.labelled = np.arange(n), n + np.arange(len(labels))
        self.labels = np.array(labels, dtype=np.int64)
        for array in (self.unlabelled, self.labelled, self.labels):
            array.setflags(write=False)
        self.n_classes = len(global_model.weight)
        self.global_model = global_model
        self.local_model = local_model or global_model
        self.rng = np.random.default_rng(seed)

    def _rows(self, table, ids):
        rows = table[self.unlabelled if ids is None else ids]
        rows.setflags(write=False)
        return rows

    def probs(self, model, ids=None):
        return self._rows(model.probs, ids)

    def logits(self, model, ids=None):
        return self._rows(model.logits, ids)

    def embeddings(self, model, ids=None):
        return self._rows(model.embeddings, ids)


def pools(*tables, seed=0):
    """Return a client with nothing labelled whose global and local predictions are given."""
    models = [ToyModel(table, np.eye(len(table[0])), probs=table) for table in tables]
    return ToyPool([], *models, seed=seed)


def federated(*clients, budgets, memory=None, seed=0):
    """Return a federation over toy clients."""
    memory = {} if memory is None else memory
    rng = np.random.default_rng(seed)
    return LiveFederationView(clients, budgets, rng, memory, beat=lambda: None)


class TableClient:
    """A client view over given tables.

    Args:
        logits: tables of logits of the unlabelled samples by model: ``global``, ``previous``, ...
        labels: labels of the labelled samples.
        embeddings: tables of embeddings of the unlabelled samples, by model.
        labelled_embeddings: the same of the labelled samples.
        labelled_logits: logits of the labelled samples, by model.
        n_classes: number of classes; the width of the logits if None.
        seed: of ``rng``.
    """

    def __init__(
        self,
        logits,
        labels=(0,),
        embeddings=None,
        labelled_embeddings=None,
        labelled_logits=None,
        n_classes=None,
        seed=0,
    ):
        self._logits = _tables(logits)
        self._embeddings = _tables(embeddings)
        self._labelled_logits = _tables(labelled_logits)
        self._labelled_embeddings = _tables(labelled_embeddings)
        first = next(iter(self._logits.values()))
        self.index, self.cycle = 0, 0
        self.n_classes = n_classes or first.shape[1]
        self.labels = _frozen(np.asarray(labels, np.int64))
        self.labelled = _frozen(np.arange(len(self.labels)))
        self.unlabelled = _frozen(np.arange(len(first)) + 100)
        self.rng = np.random.default_rng(seed)
        self.memory = {}
        self.global_model, self.previous_model, self.local_model = "global", "previous", "local"
        self.distilled_model = "distilled"

    def logits(self, model, ids=None):
        return self._look_up(self._logits, self._labelled_logits, model, ids)

    def probs(self, model, ids=None):
        exponentials = np.exp(self.logits(model, ids))
        return _frozen(exponentials / exponentials.sum(axis=1, keepdims=True))

    def embeddings(self, model, ids=None):
        return self._look_up(self._embeddings, self._labelled_embeddings, model, ids)

    def _look_up(self, unlabelled, labelled, model, ids):
        if ids is None:
            return unlabelled[model]
        if not len(ids) or ids[0] >= 100:
            return unlabelled[model][np.searchsorted(self.unlabelled, ids)]
        return labelled[model][ids]


def _tables(tables):
    return {name: _frozen(np.asarray(table, np.float32)) for name, table in (tables or {}).items()}


def _frozen(array):
    array.setflags(write=False)
    return array


@pytest.fixture(scope="session", name="toy_client")
def toy_client_fixture():
    return ToyClient


@pytest.fixture(scope="session", name="toy_model")
def toy_model_fixture():
    return ToyModel


@pytest.fixture(scope="session", name="toy_pool")
def toy_pool_fixture():
    return ToyPool


@pytest.fixture(scope="session", name="table_client")
def table_client_fixture():
    return TableClient


@pytest.fixture(scope="session", name="pools")
def pools_fixture():
    return pools


@pytest.fixture(scope="session", name="federated")
def federated_fixture():
    return federated
