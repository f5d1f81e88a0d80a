"""Density-weighted entropy: a strategy that lives in a package of its own."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from fal_bench import ClientView, Params, Strategy
from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray, RealArray


class DensityEntropyParams(Params):
    """Set one with ``-s 'density-entropy[beta=2]'``.

    Attributes:
        beta: how much density counts; 0 leaves plain entropy.
    """

    beta: float = Field(default=1.0, ge=0)


class DensityEntropy(Strategy):
    """Largest entropy under the global model, weighted with the density of the sample's region.

    The information density of Settles and Craven ("An Analysis of Active Learning Strategies for
    Sequence Labeling Tasks", EMNLP 2008), client by client: entropy times the mean similarity to
    the client's unlabelled samples to the power of ``beta``. The paper compares feature vectors by
    their cosine; here it is that of the global model's embeddings, moved to [0, 1], so that every
    power exists.

    Cost: one pass of the global model over the pool. Fails where what is rare matters: samples of
    a client's small classes lie in thin regions.
    """

    name = "density-entropy"
    Params = DensityEntropyParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Return the ``budget`` positions in ``client.unlabelled`` with the largest scores."""
        model = client.global_model
        density = mean_similarity(client.embeddings(model))
        return largest(entropy(client.probs(model)) * density**self.params.beta, budget)


def mean_similarity(embeddings: RealArray) -> RealArray:
    """Return the mean cosine similarity of each sample to all of them, moved to [0, 1].

    Args:
        embeddings: shape (n, d).

    Returns:
        Shape (n,). A sample without any direction is as similar to one as to its opposite: 0.5.
    """
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    directions = np.divide(embeddings, lengths, out=np.zeros_like(embeddings), where=lengths > 0)
    # The mean of the products is the product with the mean: no n x n matrix is needed.
    cosines: RealArray = directions @ directions.mean(axis=0)
    return np.clip((1 + cosines) / 2, 0, 1)
