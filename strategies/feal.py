"""FEAL: uncertain by evidence under both models, and not next to what was chosen before."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.acquisition.points import BLOCK, Vectors, normalised, squared_distances
from fal_bench.acquisition.scores import largest
from fal_bench.arrays import BoolArray, DoubleArray, IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy


class FEALParams(Params):
    """Parameters of ``feal``.

    Attributes:
        neighbours: a sample with as many neighbours as this is skipped if one of them, among the
            nearest of this number, is chosen already.
        similarity: cosine above which another sample is a neighbour.
    """

    neighbours: Annotated[int, Field(ge=1)] = 5
    similarity: Annotated[float, Field(ge=-1, le=1)] = 0.85


class FEAL(Strategy):
    """Largest calibrated evidential uncertainty, passing over what resembles earlier choices.

    Chen et al., "Think Twice Before Selection: Federated Evidential Active Learning for Medical
    Image Analysis with Domain Shifts", CVPR 2024. Outputs are evidence: alpha = relu(logit) + 1
    are the parameters of a Dirichlet distribution over class probabilities, for the client's
    last-round model and the global model. The score of a sample is the sum of both models'
    aleatoric uncertainties (the expected entropy of the class), times the global model's epistemic
    one (the differential entropy of its Dirichlet distribution, scaled to [0, 1] over the pool).
    The samples are passed in the order of their scores; one is skipped if it has at least
    ``neighbours`` neighbours by cosine and a chosen one is among its nearest ``neighbours``.

    It is made for the trainer ``evidential``, its default here; under another trainer the logits
    are not evidence, and the scores mean less.

    Differences to the paper and its released code: neighbours are taken by the client model's
    embeddings, where the original pools the last convolutional block. If the whole pool is passed
    before the budget is spent, the skipped samples follow in their order (the released code takes
    the last ids of the pool). If the differential entropies of the pool are all equal, which the
    released code turns into NaN, their factor is 1. The pool is not cut to 10,000 samples.

    Cost: two passes over the pool, and O(n d) for every sample that is passed, in memory linear in
    n. Fails after few rounds of training: without evidence for any class all samples look alike.
    """

    name: ClassVar[str] = "feal"
    version: ClassVar[int | None] = 1
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "disagreement"
    paper: ClassVar[str] = "FEAL, Chen et al., CVPR 2024"
    trainer: ClassVar[str] = "evidential"
    Params: ClassVar[type[Params]] = FEALParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pass the samples by score, skipping those next to a chosen one."""
        scores = calibrated_uncertainty(
            evidence(client.logits(client.previous_model)),
            evidence(client.logits(client.global_model)),
        )
        return relaxed(
            largest(scores, len(scores)),
            client.embeddings(client.previous_model),
            budget,
            self.params.neighbours,
            self.params.similarity,
        )


def evidence(logits: RealArray) -> DoubleArray:
    """Return Dirichlet parameters, relu(logit) + 1, shape (n, n_classes)."""
    return np.maximum(logits, 0).astype(np.float64) + 1


def calibrated_uncertainty(client: RealArray, federation: RealArray) -> RealArray:
    """Return FEAL's score of each sample from Dirichlet parameters, both (n, n_classes)."""
    epistemic = differential_entropy(federation)
    lowest, range_ = epistemic.min(), np.ptp(epistemic)
    told_apart = range_ > 1e-12 * max(1.0, abs(lowest))  # else rounding would be blown up
    scaled = (epistemic - lowest) / range_ if told_apart else np.ones(len(epistemic))
    score: RealArray = scaled * (expected_entropy(federation) + expected_entropy(client))
    return score


def expected_entropy(alpha: RealArray) -> RealArray:
    """Return the mean entropy of class probabilities drawn from Dirichlet distributions, in nats.

    Args:
        alpha: shape (n, n_classes).
    """
    from scipy.special import digamma

    total = alpha.sum(axis=1, keepdims=True)
    mean: RealArray = (alpha / total * (digamma(total + 1) - digamma(alpha + 1))).sum(axis=1)
    return mean


def differential_entropy(alpha: RealArray) -> RealArray:
    """Return the differential entropy of Dirichlet distributions, in nats, never above 0 here.

    Args:
        alpha: shape (n, n_classes).
    """
    from scipy.special import digamma, gammaln

    total = alpha.sum(axis=1)
    log_norm = gammaln(alpha).sum(axis=1) - gammaln(total)
    entropy: RealArray = (
        log_norm
        + (total - alpha.shape[1]) * digamma(total)
        - ((alpha - 1) * digamma(alpha)).sum(axis=1)
    )
    return entropy


def relaxed(
    order: IntArray, embeddings: RealArray, count: int, neighbours: int, similarity: float
) -> IntArray:
    """Return ``count`` samples in ranked order, passing over those next to earlier ones.

    Of two others that are equally near, the earlier position counts as the nearer.

    Args:
        order: all positions, the best first, shape (n,).
        embeddings: shape (n, d).
        count: positions to return, at most n.
        neighbours: see ``FEALParams``.
        similarity: see ``FEALParams``.
    """
    # For unit vectors the squared distance is 2 - 2 cos, and 0 exactly for duplicates.
    points, limit = Vectors(normalised(embeddings)), 2 * (1 - similarity)
    taken = np.zeros(len(order), dtype=bool)
    chosen: list[int] = []
    skipped: list[int] = []
    rows = max(1, BLOCK // len(order))
    for start in range(0, len(order), rows):
        block = order[start : start + rows]
        distances = squared_distances(points.take(block), points)
        for position, own in zip(block.tolist(), distances, strict=True):
            if len(chosen) == count:
                return np.array(chosen, dtype=np.int64)
            own[position] = np.inf
            if _crowded(own, own < limit, taken, neighbours):
                skipped.append(position)
            else:
                taken[position] = True
                chosen.append(position)
    return np.array((chosen + skipped)[:count], dtype=np.int64)


def _crowded(distances: RealArray, near: BoolArray, taken: BoolArray, neighbours: int) -> bool:
    """Return whether a taken sample is among the nearest ``neighbours``, if there are as many."""
    held = np.flatnonzero(near & taken)
    if not len(held) or np.count_nonzero(near) < neighbours:
        return False
    nearest = held[distances[held].argmin()]
    nearer = distances < distances[nearest]
    nearer[:nearest] |= distances[:nearest] == distances[nearest]
    return int(np.count_nonzero(nearer)) < neighbours
