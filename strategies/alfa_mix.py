"""ALFA-Mix: samples whose prediction flips when their features are mixed with labelled ones."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.acquisition.clustering import class_means, k_means, nearest_to_centres
from fal_bench.acquisition.points import BLOCK, normalised
from fal_bench.arrays import IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy


class AlfaMixParams(Params):
    """Parameters of ``alfa-mix``; the defaults are the paper's.

    Attributes:
        epsilon: length of the mixing step; divided by the root of the embedding size.
        n_init: restarts of k-means; the best clustering is kept.
        as_released: what the released code does besides: while no more than ``budget`` predictions
            flip, epsilon grows in steps of itself up to 1; classes without a label are anchored at
            the mean of all labelled samples.
    """

    epsilon: Annotated[float, Field(ge=1e-4)] = 0.2
    n_init: Annotated[int, Field(ge=1)] = 1
    as_released: bool = False


class AlfaMix(Strategy):
    """Of the samples whose prediction flips under feature mixing, a diverse choice.

    Parvaneh et al., "Active Learning by Feature Mixing", CVPR 2022, with the closed-form mixing.
    Anchors are the mean embeddings z* of each class's labelled samples. A sample z is mixed with
    each anchor, feature by feature, by the ratio that raises its loss fastest:

        alpha = epsilon |z* - z| / |g| * g / (z* - z),  g the gradient of the loss with respect to z

    so that the mixture is z + epsilon |z* - z| g / |g|, except in features that agree with the
    anchor's. Samples whose predicted class changes for any anchor are candidates; k-means on their
    embeddings, scaled to unit length, picks the one nearest to each of ``budget`` centres. Too few
    candidates: the rest is drawn at random from the pool (the released code draws with
    replacement, and grows epsilon before; ``as_released``).

    Needs: the global model's embeddings and its linear head. Cost: one pass over pool and labelled
    samples, pool x anchors x embedding size x classes operations, k-means on the candidates;
    memory linear in the pool. Fails where hardly any prediction flips: it is random sampling then.
    """

    name: ClassVar[str] = "alfa-mix"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "hybrid"
    paper: ClassVar[str] = "ALFA-Mix, Parvaneh et al., CVPR 2022"
    Params: ClassVar[type[Params]] = AlfaMixParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the samples nearest to the centres of the candidates' clusters."""
        embeddings = client.embeddings(client.global_model)
        candidates = self._candidates(self._flips(client), embeddings.shape[1], budget)
        picked = self._spread(normalised(embeddings[candidates]), budget, client.rng)
        chosen = candidates[picked]
        rest = np.setdiff1d(np.arange(len(embeddings)), chosen)
        filling = client.rng.choice(rest, budget - len(chosen), replace=False)
        return np.concatenate([chosen, filling]).astype(np.int64)

    def _flips(self, client: ClientView) -> RealArray:
        """Return the epsilon from which on each sample's prediction flips, shape (n,)."""
        model = client.global_model
        labelled = client.embeddings(model, client.labelled)
        classes, anchors = class_means(labelled, client.labels)
        if self.params.as_released and 0 < len(classes) < client.n_classes:
            anchors = np.vstack([anchors, labelled.mean(axis=0)])
        weight = model.module().head.weight.detach().numpy().astype(np.float64)
        return flipping_points(
            client.embeddings(model), client.logits(model), client.probs(model), weight, anchors
        )

    def _candidates(self, flips: RealArray, size: int, budget: int) -> IntArray:
        """Return the positions of the samples that flip."""
        cap = self.params.epsilon
        while True:
            candidates = np.flatnonzero(flips < cap / math.sqrt(size))
            if not self.params.as_released or len(candidates) > budget or cap >= 1:
                return candidates
            cap += self.params.epsilon

    def _spread(self, features: RealArray, budget: int, rng: np.random.Generator) -> IntArray:
        if len(features) == 0:
            return np.empty(0, dtype=np.int64)
        clustering = k_means(features, budget, rng, n_init=self.params.n_init)
        return nearest_to_centres(features, clustering)


def flipping_points(
    embeddings: RealArray,
    logits: RealArray,
    probs: RealArray,
    weight: RealArray,
    anchors: RealArray,
) -> RealArray:
    """Return the epsilon beyond which mixing with some anchor changes each prediction.

    Along a straight line of embeddings logits are linear, so a class that has been overtaken stays
    behind: all epsilons above the returned one flip the prediction, and none below it.

    Args:
        embeddings: z, shape (n, d).
        logits: shape (n, n_classes).
        probs: softmax of the logits, shape (n, n_classes).
        weight: of the head, shape (n_classes, d).
        anchors: z*, shape (m, d).

    Returns:
        Shape (n,); infinite where no epsilon changes the prediction.
    """
    flips = np.full(len(embeddings), np.inf)
    rows = max(1, BLOCK // max(weight.shape))
    for start in range(0, len(embeddings), rows):
        part = slice(start, start + rows)
        points = np.asarray(embeddings[part], dtype=np.float64)
        steepest = _steepest_ascent(probs[part], weight)
        for anchor in anchors:
            offsets = anchor - points
            slopes = (steepest * (offsets != 0)) @ weight.T
            steps = _overtaken_after(np.asarray(logits[part], dtype=np.float64), slopes)
            flip = _ratio(steps, np.linalg.norm(offsets, axis=1))
            np.minimum(flips[part], flip, out=flips[part])
    return flips


def _steepest_ascent(probs: RealArray, weight: RealArray) -> RealArray:
    """Return the unit gradients of the loss (predicted class as label) with respect to z."""
    errors = np.array(probs, dtype=np.float64)
    rows, predicted = np.arange(len(errors)), errors.argmax(axis=1)
    errors[rows, predicted] = 0
    errors[rows, predicted] = -errors.sum(axis=1)  # p - 1, where p itself rounds to 1
    return normalised(errors @ weight)


def _overtaken_after(logits: RealArray, slopes: RealArray) -> RealArray:
    """Return the step at which another class overtakes the predicted one, shape (n,)."""
    rows, predicted = np.arange(len(logits)), logits.argmax(axis=1)
    leads = logits[rows, predicted][:, None] - logits
    gains = slopes - slopes[rows, predicted][:, None]
    nearest: RealArray = _ratio(leads, gains).min(axis=1)
    return nearest


def _ratio(ahead: RealArray, speed: RealArray) -> RealArray:
    """Return how long it takes to make up for what one is ahead; infinite without speed."""
    with np.errstate(over="ignore"):  # as good as never
        return np.divide(ahead, speed, out=np.full_like(ahead, np.inf), where=speed > 0)
