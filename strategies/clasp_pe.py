"""ClaSP PE: predictive entropy, class by class, with noise that fades from query to query."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy


class ClaSPPEParams(Params):
    """Parameters of ``clasp-pe``.

    Attributes:
        stratified: share of the labels that is divided evenly over the predicted classes.
        first_beta: exponent of the entropy in the first query; small is noisy.
        last_beta: the same from the last query of the schedule on.
        queries: queries of the schedule, over which the exponent grows by equal factors.
    """

    stratified: Annotated[float, Field(ge=0, le=1)] = 0.66
    first_beta: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    last_beta: Annotated[float, Field(gt=0, le=1e6)] = 100.0
    queries: Annotated[int, Field(ge=1)] = 5

    @model_validator(mode="after")
    def _fades(self) -> Self:
        if self.last_beta < self.first_beta:
            raise ValueError("last_beta must be at least first_beta, so that the noise fades")
        return self


class ClaSPPE(Strategy):
    """Large entropies, two thirds of them class by class, drawn at random less and less.

    Lueth et al., "Finally Outshining the Random Baseline: A Simple and Effective Solution for
    Active Learning in 3D Biomedical Imaging", TMLR 2026 (Class-stratified Scheduled Power
    Predictive Entropy). A sample's score is log(entropy) + Gumbel noise of scale 1 / beta, so that
    the best k are a draw without replacement with chances as entropy^beta. Two thirds of the labels
    are divided evenly over the classes, what is left over going to classes at random, and buy the
    best scores among the samples that are predicted to be of that class; the rest buys the best of
    all. beta grows from query to query.

    The paper selects patches of volumes for segmentation, from the probabilities of an ensemble;
    here a sample belongs to its predicted class, and the global model alone predicts. A class with
    too few samples leaves its labels to the rest. The shape of the schedule is exponential, as one
    of the released code's; its constants and its length, five queries, are choices of this file.

    Needs: the global model's probabilities. Cost: one pass over the pool. Fails where predicted
    classes are wrong for whole groups of samples, as they may be with very few labels.
    """

    name: ClassVar[str] = "clasp-pe"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "ClaSP PE, Lueth et al., TMLR 2026"
    Params: ClassVar[type[Params]] = ClaSPPEParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the best noisy entropies of each class, then the best of all."""
        probs, rng = client.probs(client.global_model), client.rng
        scores = self._noisy(entropy(probs.astype(np.float64)), client.cycle, rng)
        predicted = probs.argmax(axis=1)
        quotas = even_quotas(int(self.params.stratified * budget), client.n_classes, rng)
        chosen = [
            members[largest(scores[members], quota)]
            for quota, members in (
                (quota, np.flatnonzero(predicted == label)) for label, quota in enumerate(quotas)
            )
        ]
        stratified = np.concatenate(chosen)
        rest = np.setdiff1d(np.arange(len(scores)), stratified)
        others = rest[largest(scores[rest], budget - len(stratified))]
        return np.concatenate([stratified, others]).astype(np.int64)

    def _noisy(self, entropies: RealArray, cycle: int, rng: np.random.Generator) -> RealArray:
        """Return log-scale power noising of entropies, shape (n,)."""
        noise = rng.gumbel(size=len(entropies)) / self.beta(cycle)
        scores: RealArray = np.log(np.maximum(entropies, np.finfo(np.float64).tiny)) + noise
        return scores

    def beta(self, cycle: int) -> float:
        """Return the exponent of the entropy in a cycle's query."""
        known = self.params
        done = 1.0 if known.queries == 1 else min(cycle / (known.queries - 1), 1.0)
        return float(known.first_beta * (known.last_beta / known.first_beta) ** done)


def even_quotas(count: int, classes: int, rng: np.random.Generator) -> IntArray:
    """Divide labels evenly over classes; what is left over goes to different ones at random.

    Args:
        count: labels.
        classes: number of classes.
        rng: draws the classes that get one more.

    Returns:
        Shape (classes,).
    """
    quotas = np.full(classes, count // classes, dtype=np.int64)
    quotas[rng.permutation(classes)[: count % classes]] += 1
    return quotas
