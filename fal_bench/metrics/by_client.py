"""How unequal clients are served: accuracy on the test samples of each client.

Recorded where the data say which client holds which test sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fal_bench.plugins.metric import metric

Labels = NDArray[np.int64]
Probs = NDArray[np.float64]
Clients = NDArray[np.int64]


@metric(share=True)
def worst_client_accuracy(labels: Labels, probs: Probs, clients: Clients) -> float:
    """Accuracy on the test samples of the client where it is lowest."""
    return float(_accuracies(labels, probs, clients).min())


@metric(share=True)
def mean_client_accuracy(labels: Labels, probs: Probs, clients: Clients) -> float:
    """Accuracy on each client's test samples, averaged over clients of whatever size."""
    return float(_accuracies(labels, probs, clients).mean())


@metric(higher_is_better=False, share=True)
def client_accuracy_spread(labels: Labels, probs: Probs, clients: Clients) -> float:
    """Standard deviation of the clients' accuracies (Li et al., "q-FFL", ICLR 2020)."""
    return float(_accuracies(labels, probs, clients).std())


def _accuracies(labels: Labels, probs: Probs, clients: Clients) -> NDArray[np.float64]:
    """Return the accuracy on the samples of each client that has some."""
    hits = np.bincount(clients, weights=probs.argmax(axis=1) == labels)
    samples = np.bincount(clients)
    accuracies: NDArray[np.float64] = hits[samples > 0] / samples[samples > 0]
    return accuracies
