"""A score that was learned on other data: which sample would a greedy oracle buy next?"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench import Strategy
from fal_bench.acquisition.points import (
    Vectors,
    mean_neighbour_distance,
    nearest_squared,
    normalised,
    squared_distances,
)
from fal_bench.acquisition.scores import entropy, top_two_margin

WEIGHTS = Path(__file__).with_name("weights.json")
PENALTY = 0.3  # of the linear head whose leverages are features, as in oracle-greedy
NEIGHBOURS = 10

Array = NDArray[np.float64]


class LearnedScore(Strategy):
    """Largest learned score; after each pick the scores of the others are computed again.

    Learning active learning (Konyushkova et al., NeurIPS 2017) with a greedy oracle as teacher: a
    small network maps features of a sample, none of which reads a label that was not bought, to the
    rank of the oracle's gain. It was trained once, on other data, and is frozen in weights.json.
    """

    name = "learned-score"
    family = "learned"

    @property
    def identity(self) -> dict[str, str]:
        """The digest of the weights, which are part of what a run is."""
        return {"weights": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:16]}

    def select(self, client, budget):
        """Buy one sample after the other."""
        pool, network = Pool(client), Network.load(WEIGHTS)
        return np.array([pool.buy(network.scores(pool.features())) for _ in range(budget)])


class Network:
    """A hidden layer of ReLUs and a linear output."""

    def __init__(self, layers: dict[str, Any]) -> None:
        self._hidden, self._hidden_bias, self._output = (
            np.array(layers[name]) for name in ("hidden", "hidden_bias", "output")
        )

    @classmethod
    def load(cls, path: Path) -> Network:
        """Read a network that ``train.py`` wrote."""
        return cls(json.loads(path.read_text()))

    def scores(self, features: Array) -> Array:
        """Return the score of each sample, shape (n,), of features (n, len(Pool.FEATURES))."""
        hidden = np.maximum(features @ self._hidden + self._hidden_bias, 0)
        scores: Array = hidden @ self._output
        return scores


class Pool:
    """A client's unlabelled samples, as features that know no hidden label.

    All but two features are ranks within the pool, so that they mean the same on any data.

    Attributes:
        left: which samples are not bought yet, shape (n,).
    """

    FEATURES = (
        "uncertainty by the margin",
        "entropy",
        "leverage on a ridge head that is fitted to the labelled samples",
        "how far that head's outputs on all samples would move",
        "the same, times the expected error",
        "distance to the nearest labelled or bought sample",
        "density among the unlabelled samples",
        "1 / (1 + labels of the predicted class)",  # no rank
        "logarithm of the labels a class",  # no rank
    )

    def __init__(self, client) -> None:
        model = client.global_model
        inputs = client.embeddings(model).astype(np.float64)
        known = client.embeddings(model, client.labelled).astype(np.float64)
        probs = client.probs(model).astype(np.float64)
        units = normalised(np.concatenate([inputs, known]))
        self._units, labelled = Vectors(units[: len(inputs)]), Vectors(units[len(inputs) :])
        self._fit(inputs, known)
        self._expected_error = 1 - (probs**2).sum(axis=1)
        self._fixed = ranks(1 - top_two_margin(probs)), ranks(entropy(probs))
        self._far = np.minimum(nearest_squared(self._units, labelled), 4)  # unit vectors' most
        self._dense = ranks(-mean_neighbour_distance(self._units.coordinates, NEIGHBOURS))
        self._predicted = probs.argmax(axis=1)
        self._counts = np.bincount(client.labels, minlength=client.n_classes).astype(np.float64)
        self._stage = np.log10((len(known) + 1) / client.n_classes)
        self.left = np.ones(len(inputs), dtype=bool)

    def features(self) -> Array:
        """Return the features of all samples, shape (n, len(FEATURES))."""
        moved = self._spread / (1 + self._leverage) ** 2
        return np.stack(
            [
                *self._fixed,
                ranks(self._leverage),
                ranks(moved),
                ranks(self._expected_error * moved),
                ranks(self._far),
                self._dense,
                1 / (1 + self._counts[self._predicted]),
                np.full(len(moved), self._stage),
            ],
            axis=1,
        )

    def buy(self, scores: Array) -> int:
        """Buy the best sample that is left, and see the others with it; return its position."""
        best = int(np.where(self.left, scores, -np.inf).argmax())
        self.left[best] = False
        self._refit(best)
        bought = self._units.take(np.array([best]))
        self._far = np.minimum(self._far, squared_distances(self._units, bought)[:, 0])
        self._counts[self._predicted[best]] += 1
        return best

    def _fit(self, inputs: Array, known: Array) -> None:
        """Fit a ridge head: leverages, and how much a sample moves all outputs."""
        self._inputs = np.column_stack([inputs, np.ones(len(inputs))])
        known = np.column_stack([known, np.ones(len(known))])
        labelled = known.T @ known
        self._gram = labelled + self._inputs.T @ self._inputs
        strength = PENALTY * np.trace(self._gram) / (len(inputs) + len(known))
        self._reach = self._inputs @ np.linalg.inv(labelled + strength * np.eye(len(labelled)))
        self._leverage = np.einsum("ij,ij->i", self._reach, self._inputs)
        self._spread = np.einsum("ij,ij->i", self._reach @ self._gram, self._reach)

    def _refit(self, bought: int) -> None:
        """Add a sample to the head's, whatever its label (Sherman and Morrison, 1950)."""
        scale = 1 + self._leverage[bought]
        direction = self._reach[bought].copy()
        moved = self._gram @ direction
        overlap = self._reach @ self._inputs[bought] / scale
        self._spread += overlap * (overlap * (direction @ moved) - 2 * (self._reach @ moved))
        self._leverage -= scale * overlap**2
        self._reach -= np.outer(overlap, direction)


def ranks(values: Array) -> Array:
    """Return ranks between 0 and 1; the largest value has 1, ties go by position."""
    found = np.empty(len(values))
    found[np.argsort(values, kind="stable")] = np.arange(len(values)) / max(len(values) - 1, 1)
    return found
