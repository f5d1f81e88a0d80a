"""IFAL: samples on which what a model says and what its neighbourhoods say disagree."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fal_bench.acquisition.clustering import k_means, nearest_to_centres
from fal_bench.acquisition.points import BLOCK, normalised
from fal_bench.acquisition.scores import largest
from fal_bench.arrays import IntArray, RealArray
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.needs import TASK_SETTINGS, DistilledModel, LocalTraining, Need
from fal_bench.plugins.strategy import ClientView, Params, Strategy

SLACK = 1e-5
"""Added to the denominators of the ratio of distances, as in the released code."""


class IFALParams(Params):
    """Parameters of ``ifal``.

    Attributes:
        neighbours: points of the pool that each point votes for; in pools smaller than the
            published ones, no more than a tenth of the pool.
        distance: ``"published"`` compares two probability vectors as if each were a sample of
            numbers (see ``sorted_distance``); ``"class-aware"`` is their total variation.
        epochs: most epochs of the distilled model.
        lr_share: learning rate of the distilled model as a share of the federation's.
    """

    neighbours: Annotated[int, Field(ge=1)] = 250
    distance: Literal["published", "class-aware"] = "published"
    epochs: Annotated[int, Field(ge=1)] = 500
    lr_share: Annotated[float, Field(gt=0)] = 0.1


class IFAL(Strategy):
    """Largest inconsistency between models and their neighbourhoods, spread by k-means.

    Zong, Jin and Huang, "Inconsistency-Based Federated Active Learning", IJCAI 2025. Three models:
    the global one (g), the client's of the last round (l), and one distilled from g on the
    client's labels (d). Under a model, every labelled and unlabelled sample votes for its nearest
    samples of the pool, by cosine of the embeddings and with its label (of g's prediction where
    unlabelled); votes plus one, normalised, are a sample's "data-driven" probabilities. With
    D_ll and D_gl the distances of l's and g's from d's,
    U1 = max(D_gl / D_ll, D_ll / D_gl) (D_ll + D_gl); U2 is the distance of l's outputs from its
    data-driven probabilities with its own predictions as votes. Candidates are the samples whose
    U1 U2 lies above Otsu's threshold; k-means of their embeddings under l, with one cluster a
    label to buy, gives the samples nearest to the centres. If they are too few, the same with U1
    alone; if they still are, the largest U1 U2.

    Differences to the paper and its released code: both take the Wasserstein distance of the two
    probability vectors as samples of numbers, which ignores the classes: (0.7, 0.2, 0.1) and
    (0.1, 0.2, 0.7) are at distance 0. ``distance=class-aware`` is another algorithm. Otsu's
    threshold is exact here and of a 256-bin histogram there. The published 250 neighbours belong
    to pools of thousands: in a pool of 250 every sample would vote for all others, and in a smaller
    one the released code stops. Hence the bound of a tenth of the pool.

    Cost: one distillation per client and cycle, six passes over the pool, and O(n^2 d) in blocks
    of bounded size for three models' neighbourhoods. Fails in small pools, where a neighbourhood is
    a handful of samples.
    """

    name: ClassVar[str] = "ifal"
    version: ClassVar[int | None] = 2
    family: ClassVar[str] = "disagreement"
    paper: ClassVar[str] = "IFAL, Zong et al., IJCAI 2025"
    Params: ClassVar[type[Params]] = IFALParams

    @property
    def needs(self) -> frozenset[Need]:
        """A model distilled from the global one."""
        training = LocalTraining(
            epochs=self.params.epochs,
            lr_share=self.params.lr_share,
            stop_at_accuracy=None,
            patience=5,
            trainer=Distillation(),
            augmentation="none",  # the teacher has seen the samples as they are
            inherited=TASK_SETTINGS - {"lr"},
        )
        return frozenset({DistilledModel(training)})

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Take one candidate of each cluster, or fall back as published."""
        models, data = self._inconsistencies(client)
        points = normalised(client.embeddings(client.previous_model))
        for scores in (models * data, models):
            candidates = np.flatnonzero(scores > otsu_threshold(scores))
            if len(candidates) >= budget:
                clusters = k_means(points[candidates], budget, client.rng)
                chosen = candidates[nearest_to_centres(points[candidates], clusters)]
                if len(chosen) == budget:
                    return chosen.astype(np.int64)
        return largest(models * data, budget)

    def _inconsistencies(self, client: ClientView) -> tuple[RealArray, RealArray]:
        """Return U1 and U2 of every unlabelled sample, both shape (n,)."""
        outputs = client.probs(client.previous_model)
        by_federation = client.probs(client.global_model).argmax(axis=1)
        by_client = outputs.argmax(axis=1)
        [federation] = self._data_driven(client, client.global_model, by_federation)
        [distilled] = self._data_driven(client, client.distilled_model, by_federation)
        local, own = self._data_driven(client, client.previous_model, by_federation, by_client)
        published = self.params.distance == "published"
        distance = sorted_distance if published else total_variation
        ll, gl = distance(local, distilled), distance(federation, distilled)
        ratio = np.maximum(gl / (ll + SLACK), ll / (gl + SLACK))
        return ratio * (ll + gl), distance(own, outputs)

    def _data_driven(
        self, client: ClientView, model: Any, *predicted: NDArray[np.intp]
    ) -> list[RealArray]:
        """Return the data-driven probabilities under a model, for each set of predictions."""
        return neighbour_votes(
            normalised(client.embeddings(model, client.labelled)),
            normalised(client.embeddings(model)),
            [np.concatenate([client.labels, own]) for own in predicted],
            client.n_classes,
            neighbours_in(self.params.neighbours, len(client.unlabelled)),
        )


def neighbours_in(wanted: int, pool: int) -> int:
    """Return ``wanted``, but no more than a tenth of the pool, and at least 1."""
    return max(min(wanted, pool // 10), 1)


def neighbour_votes(
    labelled: RealArray,
    pool: RealArray,
    classes: list[IntArray],
    n_classes: int,
    neighbours: int,
) -> list[RealArray]:
    """Return class probabilities of the pool's samples from the votes of those they are near to.

    Every point votes for its nearest points of the pool other than itself; of equally near ones
    the earlier count as nearer. Each class starts with one vote.

    Args:
        labelled: unit vectors, shape (m, d).
        pool: unit vectors, shape (n, d).
        classes: sets of votes: the class of each labelled point, then of each one of the pool,
            shape (m + n,).
        n_classes: number of classes.
        neighbours: points that each votes for, as far as there are so many.

    Returns:
        For each set of votes, shape (n, n_classes).
    """
    n = len(pool)
    votes = [np.ones((n, n_classes)) for _ in classes]
    rows = max(1, BLOCK // n)
    for voters, first, own_pool in ((labelled, 0, False), (pool, len(labelled), True)):
        for start in range(0, len(voters), rows):
            # Single precision rounds away what makes the cosines to duplicates differ.
            cosines = (voters[start : start + rows] @ pool.T).astype(np.float32)
            if own_pool:
                itself = np.arange(len(cosines))
                cosines[itself, start + itself] = -np.inf
            voter, voted = _nearest(cosines, min(neighbours, n - own_pool))
            for own, cast in zip(votes, classes, strict=True):
                np.add.at(own, (voted, cast[first + start + voter]), 1)
    return [own / own.sum(axis=1, keepdims=True) for own in votes]


def sorted_distance(left: RealArray, right: RealArray) -> RealArray:
    """Return row by row the Wasserstein distance of two vectors taken as samples of numbers.

    For samples of one size it is the mean absolute difference of the sorted values. The order of
    the classes does not matter to it.
    """
    difference = np.sort(left, axis=1) - np.sort(right, axis=1)
    distance: RealArray = np.abs(difference).mean(axis=1)
    return distance


def total_variation(left: RealArray, right: RealArray) -> RealArray:
    """Return row by row the total variation of two distributions over classes."""
    distance: RealArray = np.abs(left - right).sum(axis=1) / 2
    return distance


def otsu_threshold(values: RealArray) -> float:
    """Return the value that splits numbers best into those up to it and those above it.

    Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979, without a histogram:
    the split with the largest variance between the two groups, the lowest of several. If all
    values are equal, nothing lies above.

    Args:
        values: shape (n,), n at least 1.
    """
    ordered = np.sort(values)
    sizes = np.arange(1, len(ordered))
    sums = np.cumsum(ordered - ordered[0])
    below, above = sums[:-1] / sizes, (sums[-1] - sums[:-1]) / sizes[::-1]
    between = sizes * sizes[::-1] * (above - below) ** 2
    between[ordered[1:] == ordered[:-1]] = -1  # equal values stay together
    if not (between > 0).any():
        return float(ordered[-1])
    return float(ordered[between.argmax()])


def _nearest(cosines: RealArray, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (row, column) of each row's ``count`` largest; ties go to the earlier column."""
    n = cosines.shape[1]
    if not count:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    last = np.partition(cosines, n - count, axis=1)[:, n - count]
    nearest = cosines >= last[:, None]
    for crowded in np.flatnonzero(np.count_nonzero(nearest, axis=1) > count):
        tied = np.flatnonzero(cosines[crowded] == last[crowded])
        nearer = np.count_nonzero(cosines[crowded] > last[crowded])
        nearest[crowded, tied[count - nearer :]] = False
    row, column = np.divmod(np.flatnonzero(nearest), n)
    return row, column
