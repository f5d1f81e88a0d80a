"""KSAS, the query of KAFAL: where the client's and the federation's knowledge disagree."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fal_bench.acquisition.scores import largest
from fal_bench.arrays import DoubleArray, IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, Strategy


class KSAS(Strategy):
    """Largest disagreement between a client's model and the global one, on the classes it knows.

    Cao, Shi, Yu, Wang and Tao, "Knowledge-Aware Federated Active Learning with Non-IID Data",
    ICCV 2023: knowledge-specialised active sampling. With n_c labelled samples of class c, log n_c
    is added to the logits of both the client's last-round model and the global model; the score is
    half the symmetric Kullback-Leibler divergence of the two softmax outputs.

    A class without a labelled sample gets probability zero, so it is left out of all sums. The
    released code adds log 0 = -inf there and, with current PyTorch, gets NaN for every sample.
    Ties go to the smaller id; a client with a single labelled class has nothing but ties (every
    score is 0) and takes the smallest ids. The released code shuffles the pool first.

    The paper's other half, KCFU, is a way to train and not part of a selection.

    Cost: two passes over the pool. Fails where a client knows one class, and, as all scores that
    look at one sample at a time, buys near-duplicates in large queries.
    """

    name: ClassVar[str] = "ksas"
    version: ClassVar[int | None] = 1
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "disagreement"
    paper: ClassVar[str] = "KAFAL, Cao et al., ICCV 2023"

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the ``budget`` largest divergences."""
        scores = specialised_divergence(
            client.logits(client.previous_model),
            client.logits(client.global_model),
            np.bincount(client.labels, minlength=client.n_classes),
        )
        return largest(scores, budget)


def specialised_divergence(
    client_logits: RealArray, global_logits: RealArray, counts: IntArray
) -> DoubleArray:
    """Return half the symmetric KL divergence of two models' class-weighted softmax outputs.

    Args:
        client_logits: shape (n, n_classes).
        global_logits: shape (n, n_classes).
        counts: labelled samples of each class, shape (n_classes,), at least one of them positive.

    Returns:
        Shape (n,), in nats; 0 where only one class is present.
    """
    present = np.flatnonzero(counts)
    prior = np.log(counts[present])
    ours = _log_softmax(client_logits[:, present] + prior)
    theirs = _log_softmax(global_logits[:, present] + prior)
    # KL(p||q) + KL(q||p) = sum (p - q) (log p - log q), of which no term is negative.
    terms = (np.exp(ours) - np.exp(theirs)) * (ours - theirs)
    divergence: DoubleArray = terms.sum(axis=1) / 2
    return divergence


def _log_softmax(logits: RealArray) -> DoubleArray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: DoubleArray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
