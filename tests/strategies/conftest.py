"""Toy clients whose models are tables, for golden values by hand or found another way."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import softmax

from fal_bench.federation.view import LiveFederationView


class ToyModel:
    """A model that is a table of embeddings and a linear head.

    Args:
        embeddings: of all samples, unlabelled ones first, shape (n + m, d).
        weight: the head's weights, shape (n_classes, d).
        bias: shape (n_classes,); zero if None.
        probs: given instead of the softmax of the logits, if not None.
        logits: given instead of the head's, if not None.
    """

    def __init__(self, embeddings, weight, bias=None, probs=None, logits=None):
        self.embeddings = np.asarray(embeddings, dtype=np.float32)
        self.weight = np.asarray(weight, dtype=np.float32)
        self.bias = np.zeros(len(self.weight), np.float32) if bias is None else np.float32(bias)
        self.logits = self.embeddings @ self.weight.T + self.bias
        if logits is not None:
            self.logits = np.asarray(logits, dtype=np.float32)
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
        others: ``previous_model`` and ``distilled_model``, where a test needs them.
    """

    def __init__(self, labels, global_model, local_model=None, seed=0, index=0, **others):
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
        vars(self).update(others)

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


def table_client(logits, labels=(0,), embeddings=None, labelled=None, seed=0):
    """Return a client over given tables.

    Args:
        logits: of the unlabelled samples, by model: ``global``, ``previous``, ``distilled``.
        labels: labels of the labelled samples.
        embeddings: tables of embeddings of the unlabelled samples, by model.
        labelled: logits and embeddings of the labelled samples by model, with zeros for neither.
        seed: of the strategy's stream.
    """

    def model(name):
        own = logits[name], (embeddings or {}).get(name, np.zeros((len(logits[name]), 1)))
        own = [np.asarray(table, np.float32) for table in own]
        zeros = [np.zeros((len(labels), table.shape[1]), np.float32) for table in own]
        pairs = zip(own, (labelled or {}).get(name, zeros), strict=True)
        both, points = (np.concatenate(pair) for pair in pairs)
        return ToyModel(points, np.zeros((both.shape[1], points.shape[1])), logits=both)

    models = {f"{name}_model": model(name) for name in logits}
    return ToyPool(labels, seed=seed, **models)


@pytest.fixture(scope="session", name="toy_model")
def toy_model_fixture():
    return ToyModel


@pytest.fixture(scope="session", name="toy_pool")
def toy_pool_fixture():
    return ToyPool


@pytest.fixture(scope="session", name="table_client")
def table_client_fixture():
    return table_client


@pytest.fixture(scope="session", name="pools")
def pools_fixture():
    return pools


@pytest.fixture(scope="session", name="federated")
def federated_fixture():
    return federated


@pytest.fixture(scope="session")
def on_a_circle():
    """A function that returns a client with unit vectors at angles, the last ones labelled."""

    def make(degrees, labelled=0, index=0):
        angles = np.radians(degrees)
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return ToyPool([0] * labelled, ToyModel(points, np.eye(2)), index=index)

    return make
