"""BAIT: samples that lower the expected loss most, by the head's Fisher information."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final

import numpy as np
from pydantic import Field

from fal_bench.acquisition.points import BLOCK
from fal_bench.arrays import IntArray, RealArray
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.strategy import ClientView, Params, Strategy
from fal_bench.task import Task

MOST_WEIGHTS: Final = 6_000
"""Most weights of a head whose Fisher information is kept: a matrix of them takes 288 MB."""


class BAITParams(Params):
    """Parameters of ``bait``; the defaults are the released code's.

    Attributes:
        ridge: what is added to the diagonal of the Fisher information.
        oversampling: samples that the forward pass takes, as a multiple of the labels to buy; the
            backward pass leaves the others out again.
    """

    ridge: Annotated[float, Field(gt=0)] = 1.0
    oversampling: Annotated[float, Field(ge=1, le=100)] = 2.0


class BAIT(Strategy):
    """The samples that make the trace of (Fisher of the labelled)^-1 (Fisher of all) smallest.

    Ash et al., "Gone Fishing: Neural Active Learning with Fisher Embeddings", NeurIPS 2021. With
    class probabilities p and head inputs z, a sample's Fisher information of the head's weights is
    (diag(p) - p p^T) (x) z z^T. A forward pass takes twice as many samples as there are labels to
    buy, each time the one that lowers the trace most; a backward pass leaves out again, one by one,
    those that raise it least. The head's bias is left out. ``ridge`` and the weights are those of
    the released code: with m labelled samples and b labels to buy, labelled ones weigh 1 / (m + b)
    each and picked ones b / (m + b).

    Needs: the global model's embeddings and probabilities of labelled and unlabelled samples. Cost:
    matrices of D x D for a head of D weights (classes x embedding size; the embedding is first
    rotated into as many dimensions as there are samples, if those are fewer), pool x D^2 operations
    once and pool x classes x D + classes x D^2 a label. Heads of more than 6,000 weights are
    refused. Fails where the model is sure and wrong: what it does not doubt holds no information.
    """

    name: ClassVar[str] = "bait"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "hybrid"
    paper: ClassVar[str] = "BAIT, Ash et al., NeurIPS 2021"
    deterministic: ClassVar[bool] = True
    Params: ClassVar[type[Params]] = BAITParams

    def check_shares(self, task: Task, sizes: Mapping[str, int]) -> None:
        """Check that the head is small enough, whichever client it is."""
        features = min(sizes["pool"], sizes.get("embedding", 0))
        if fault := _too_large(sizes.get("classes", 0), features):
            raise InvalidSpecError(f"Task {task.name!r}: {fault}")

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Take more than enough, then leave the least useful out."""
        model, pool = client.global_model, len(client.unlabelled)
        embeddings = [client.embeddings(model), client.embeddings(model, client.labelled)]
        probs = [client.probs(model), client.probs(model, client.labelled)]
        samples = FisherSamples(np.concatenate(embeddings), np.concatenate(probs))
        design = FisherDesign(samples, pool, budget, self.params.ridge)
        chosen: IntArray = np.zeros(0, dtype=np.int64)
        left = np.arange(pool)
        for _ in range(min(pool, int(self.params.oversampling * budget))):
            best = int(design.losses(left, 1).argmax())
            design.update(left[best], 1)
            chosen, left = np.append(chosen, left[best]), np.delete(left, best)
        while len(chosen) > budget:
            least = int(design.losses(chosen, -1).argmax())
            design.update(chosen[least], -1)
            chosen = np.delete(chosen, least)
        return chosen


def _too_large(classes: int, features: int) -> str | None:
    """Say that a head has too many weights, and what to do; None if it has not."""
    if (weights := classes * features) <= MOST_WEIGHTS:
        return None
    return (
        f"bait keeps matrices over all weights of the head, at most {MOST_WEIGHTS:,}, and "
        f"{classes} classes x {features} features are {weights:,}; use a model with a "
        "smaller embedding, or badge."
    )


class FisherSamples:
    """The Fisher information of a linear head at each sample, as a product of its factors.

    I(x) = (S^T S) (x) (z z^T), where the row of S for class c is sqrt(p_c) (e_c - p).

    Args:
        embeddings: the head's inputs, shape (n, d).
        probs: shape (n, classes).

    Attributes:
        inputs: the head's inputs, shape (n, d'), in as few dimensions as they span.
        factors: S of each sample, shape (n, classes, classes).

    Raises:
        InvalidSpecError: the head has too many weights.
    """

    def __init__(self, embeddings: RealArray, probs: RealArray) -> None:
        inputs = np.asarray(embeddings, dtype=np.float64)
        if len(inputs) < inputs.shape[1]:
            inputs = inputs @ np.linalg.qr(inputs.T)[0]
        classes = probs.shape[1]
        if fault := _too_large(classes, inputs.shape[1]):
            raise InvalidSpecError(fault)
        known = np.asarray(probs, dtype=np.float64)
        known = known / known.sum(axis=1, keepdims=True)
        self.inputs: RealArray = inputs
        self.factors: RealArray = np.sqrt(known)[:, :, None] * (np.eye(classes) - known[:, None, :])

    def mean(self, rows: slice) -> RealArray:
        """Return the mean information of some samples, shape (D, D); zero without any."""
        factors, inputs = self.factors[rows], self.inputs[rows]
        size = factors.shape[1] * inputs.shape[1]
        curvature = np.einsum("nyc,nye->nce", factors, factors)
        total = np.zeros((factors.shape[1], inputs.shape[1]) * 2)
        for c, e in np.ndindex(curvature.shape[1:]):
            total[c, :, e, :] = (inputs * curvature[:, c, e, None]).T @ inputs
        information: RealArray = total.reshape(size, size) / max(len(inputs), 1)
        return information

    def rows(self, sample: np.int64) -> RealArray:
        """Return A with I(x) = A^T A, shape (classes, D)."""
        factor, inputs = self.factors[sample], self.inputs[sample]
        product: RealArray = np.einsum("yc,d->ycd", factor, inputs).reshape(len(factor), -1)
        return product

    def forms(self, matrix: RealArray, count: int) -> RealArray:
        """Return A M A^T without S on either side, for the first ``count`` samples.

        Args:
            matrix: M, shape (D, D).
            count: how many.

        Returns:
            z^T M z class by class, shape (count, classes, classes).
        """
        classes, width = self.factors.shape[1], self.inputs.shape[1]
        blocks = matrix.reshape(classes, width, classes, width).transpose(1, 0, 2, 3)
        flat = blocks.reshape(width, -1)
        forms = np.empty((count, classes, classes))
        step = max(1, BLOCK // flat.shape[1])
        for start in range(0, count, step):
            inputs = self.inputs[start : min(start + step, count)]
            half = (inputs @ flat).reshape(len(inputs), classes, classes, width)
            forms[start : start + step] = np.einsum("ncef,nf->nce", half, inputs)
        return forms


class FisherDesign:
    """What is known of the head's weights with the labelled and the picked samples.

    M is the information of both, with the ridge; F that of all samples. The forms z^T M^-1 z and
    z^T M^-1 F M^-1 z of every unlabelled sample are kept, and follow M by low-rank updates.

    Args:
        samples: unlabelled ones first.
        pool: how many of them are unlabelled.
        budget: labels to buy.
        ridge: what is added to the diagonal.
    """

    def __init__(self, samples: FisherSamples, pool: int, budget: int, ridge: float) -> None:
        self._samples, self._pool = samples, pool
        labelled = len(samples.inputs) - pool
        self._weight = budget / (labelled + budget)
        known = samples.mean(slice(pool, None)) * (labelled / (labelled + budget))
        known[np.diag_indices_from(known)] += ridge
        self._inverse = np.linalg.inv(known)
        self._wanted = self._inverse @ samples.mean(slice(None)) @ self._inverse
        self._spread = samples.forms(self._inverse, pool)
        self._use = samples.forms(self._wanted, pool)

    def losses(self, rows: IntArray, sign: int) -> RealArray:
        """Return what the trace loses with each of some unlabelled samples, shape (k,).

        Args:
            rows: their positions, shape (k,).
            sign: 1 for samples to add, -1 for picked ones to leave out, whose loss is negative.
        """
        factors = self._samples.factors[rows]
        spread = factors @ self._spread[rows] @ factors.transpose(0, 2, 1) * self._weight
        use = factors @ self._use[rows] @ factors.transpose(0, 2, 1) * self._weight
        inner = sign * np.eye(factors.shape[1]) + spread
        losses: RealArray = np.trace(np.linalg.solve(inner, use), axis1=1, axis2=2)
        return losses

    def update(self, sample: np.int64, sign: int) -> None:
        """Add a sample (1), or leave it out again (-1): Woodbury's identity."""
        rows = self._samples.rows(sample) * np.sqrt(self._weight)
        spread, use = self._inverse @ rows.T, self._wanted @ rows.T
        inner = np.linalg.inv(sign * np.eye(len(rows)) + rows @ spread)
        middle = inner @ (rows @ use) @ inner
        mixed = use @ inner @ spread.T
        self._inverse -= spread @ inner @ spread.T
        self._wanted += spread @ middle @ spread.T - mixed - mixed.T
        own, other = self._at(spread), self._at(use)
        mixed_forms = other @ inner @ own.transpose(0, 2, 1)
        self._spread -= own @ inner @ own.transpose(0, 2, 1)
        self._use += own @ middle @ own.transpose(0, 2, 1)
        self._use -= mixed_forms + mixed_forms.transpose(0, 2, 1)

    def _at(self, columns: RealArray) -> RealArray:
        """Return z^T K at every unlabelled sample, shape (pool, classes, columns)."""
        inputs = self._samples.inputs[: self._pool]
        classes = self._samples.factors.shape[1]
        blocks = columns.reshape(classes, inputs.shape[1], -1)
        product: RealArray = np.einsum("nd,cdk->nck", inputs, blocks, optimize=True)
        return product
