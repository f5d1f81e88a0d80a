"""A reference that chooses with hindsight: how far is everyone from the best possible?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.arrays import DoubleArray, FloatArray, IntArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy


class OracleGreedyParams(Params):
    """Parameters of ``oracle-greedy``.

    Attributes:
        penalty: L2 penalty of the head, relative to the mean squared norm of the embeddings.
        share: weight of the global model, against the client's own head, in the outputs whose
            errors are to be corrected.
    """

    penalty: Annotated[float, Field(gt=0)] = 0.3
    share: Annotated[float, Field(ge=0, le=1)] = 0.5


class OracleGreedy(Strategy):
    """Greedy choice by the true labels of the pool: a reference, never ranked.

    Each client fits a linear head on the global model's embeddings of its labelled samples: ridge
    regression on one-hot labels with an intercept. Starting from the mean of this head's outputs
    and the global model's probabilities, it adds, one after the other, the sample whose label
    lowers the squared error on all of the client's samples the most. That uses the true labels of
    the whole pool, which no strategy may know. The defaults of the parameters were chosen by the
    area under the curve on the suites smoke and quick.

    It is not an upper bound: it looks one sample ahead, at a head and not at the federated
    training, and at one client at a time.

    Cost: one pass over the pool, and O(n (d + classes)) a label for n samples with d embeddings,
    in memory of the same order. Fails where the embeddings do not separate the classes yet (the
    first queries).
    """

    name: ClassVar[str] = "oracle-greedy"
    version: ClassVar[int | None] = 1
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "reference"
    reference: ClassVar[bool] = True
    Params: ClassVar[type[Params]] = OracleGreedyParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Add the best sample, ``budget`` times."""
        known = Samples.of(client, client.labelled, client.labels)
        pool = Samples.of(client, None, client.hindsight())
        return GrowingHead(known, pool, self.params.penalty, self.params.share).grow(budget)


@dataclass(frozen=True)
class Samples:
    """Samples with their true labels, as the global model sees them.

    Attributes:
        embeddings: with a last column of ones, shape (n, d).
        targets: one-hot labels, shape (n, n_classes).
        probs: the global model's probabilities, shape (n, n_classes).
    """

    embeddings: DoubleArray
    targets: DoubleArray
    probs: FloatArray

    @classmethod
    def of(cls, client: ClientView, ids: IntArray | None, labels: IntArray) -> Samples:
        """Collect a client's samples."""
        model = client.global_model
        embeddings = client.embeddings(model, ids)
        return cls(
            np.column_stack([embeddings, np.ones(len(embeddings))]),
            np.eye(client.n_classes)[labels],
            client.probs(model, ids),
        )

    def errors(self, weights: DoubleArray, share: float) -> DoubleArray:
        """Return what the targets differ by from a head and the global model together."""
        outputs = (1 - share) * (self.embeddings @ weights) + share * self.probs
        errors: DoubleArray = self.targets - outputs
        return errors


class GrowingHead:
    """A head on the labelled samples, and what each sample of the pool would do to it.

    With P the inverse of the regularised Gram matrix, adding a sample z whose error is e moves
    the outputs on x by (x . P z) e / (1 + z . P z) (Sherman and Morrison, 1950). From that
    follows the change of the squared error on all samples together, for every candidate z from a
    few products that are kept up to date by rank-one updates.

    Args:
        known: the m labelled samples.
        pool: the n unlabelled samples.
        penalty: relative to the mean squared norm of all samples.
        share: weight of the global model's outputs against the head's.
    """

    def __init__(self, known: Samples, pool: Samples, penalty: float, share: float) -> None:
        self._pool = pool.embeddings
        old_gram = known.embeddings.T @ known.embeddings
        self._gram = old_gram + self._pool.T @ self._pool
        strength = penalty * np.trace(self._gram) / (len(known.targets) + len(pool.targets))
        inverse = np.linalg.inv(old_gram + strength * np.eye(len(old_gram)))
        weights = inverse @ (known.embeddings.T @ known.targets)
        self._errors = pool.errors(weights, share)
        # The sum of x e over all samples x with errors e.
        self._pull = known.embeddings.T @ known.errors(weights, share)
        self._pull += self._pool.T @ self._errors
        # Of every candidate z: P z, z . P z, the squared norm of all x . P z, and P z times pull.
        self._reach = self._pool @ inverse
        self._leverage = np.einsum("ij,ij->i", self._reach, self._pool)
        self._spread = np.einsum("ij,ij->i", self._reach @ self._gram, self._reach)
        self._pulled = self._reach @ self._pull

    def grow(self, count: int) -> IntArray:
        """Add the candidate of the largest gain ``count`` times; return them in that order.

        Ties go to the earlier position.
        """
        chosen = np.empty(count, dtype=np.int64)
        left = np.ones(len(self._pool), dtype=bool)
        for step in range(count):
            best = int(np.argmax(np.where(left, self.gains(), -np.inf)))
            chosen[step] = best
            left[best] = False
            if step + 1 < count:
                self.add(best)
        return chosen

    def gains(self) -> DoubleArray:
        """Return by how much each candidate would lower the squared error, shape (n,)."""
        scale = 1 + self._leverage
        along = np.einsum("ij,ij->i", self._pulled, self._errors) / scale
        norms = np.einsum("ij,ij->i", self._errors, self._errors)
        gains: DoubleArray = 2 * along - norms * self._spread / scale**2
        return gains

    def add(self, position: int) -> None:
        """Add a candidate to the head's training samples, with its true label."""
        scale = 1 + self._leverage[position]
        direction = self._reach[position].copy()  # P z
        error = self._errors[position].copy()
        moved = self._gram @ direction
        overlap = self._reach @ self._pool[position] / scale  # x . P z / scale
        along = self._reach @ moved
        self._pull -= np.outer(moved, error) / scale
        self._pulled -= np.outer(along / scale, error)
        self._pulled -= np.outer(overlap, direction @ self._pull)
        self._spread += overlap * (overlap * (direction @ moved) - 2 * along)
        self._leverage -= scale * overlap**2
        self._errors -= np.outer(overlap, error)
        self._reach -= np.outer(overlap, direction)
