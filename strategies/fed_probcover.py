"""Federated ProbCover: balls that cover most of the whole federation, from centroids and counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Final

import numpy as np
from pydantic import Field

from fal_bench.acquisition.covering import Cover
from fal_bench.acquisition.points import Vectors, nearest_squared, squared_distances
from fal_bench.arrays import IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, FederationView, Params, Selection, Strategy
from fal_bench.strategies._client_state import ClientState
from fal_bench.strategies._pure_balls import largest_pure_radius, pure_balls

TIE: Final = 1e-6
"""Squared distances that differ by less are equal: centroids travel in single precision."""


class FedProbCoverParams(Params):
    """Parameters of ``fed-probcover``.

    Attributes:
        delta: radius of the balls; chosen by the purity rule in every query if None.
        purity: share of pure balls that the purity rule asks for.
    """

    delta: Annotated[float, Field(gt=0, le=2)] | None = None
    purity: Annotated[float, Field(gt=0, le=1)] = 0.95


class FedProbCover(Strategy):
    """Greedy coverage of the whole federation's samples by balls around labelled ones.

    Mohr & Weinshall, arXiv 2608.18634, 2026, after Yehuda et al., "Active Learning Through a
    Covering Lens", NeurIPS 2022. Again and again, every client with budget left proposes the
    centroid of its best ball (the uncovered samples within delta of one of its samples); all
    clients answer how many of their uncovered samples lie within delta of each centroid, and how
    far their closest sample for sale is. The server takes the centroid with the largest sum and
    buys the closest sample; the ball around the centroid counts as covered.

    The paper's encoder is self-supervised and frozen; here the embedding is the global model's,
    scaled to unit length, and changes every cycle. What is labelled already is therefore announced
    again in each query, by the centroids of the balls around labelled samples. When no client with
    budget has uncovered samples left, covering starts again from nothing.

    delta follows ProbCover's rule, without labels: the largest radius at which 95 % of the balls
    hold samples of one k-means cluster only, with as many clusters as classes. Each client looks
    at its own balls (2,000 at most), and counts are summed over clients.

    Needs: the global model's embeddings, and the server. Cost: one pass over pool and labelled
    samples, and all distances within each client, in blocks: time is quadratic, memory linear in
    the pool; messages of clients x embedding size a label, all counted. Fails at high budgets,
    where everything is covered, and where the embedding has not learned the classes apart: delta
    is then tiny and every ball holds one sample.
    """

    name: ClassVar[str] = "fed-probcover"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "coordinated"
    paper: ClassVar[str] = "Mohr & Weinshall, arXiv 2608.18634"
    Params: ClassVar[type[Params]] = FedProbCoverParams

    def select_all(self, federation: FederationView) -> Sequence[Selection]:
        """Agree on a radius and on what is covered; then cover ball by ball."""
        states: dict[int, CoveredClient] = {}

        def join(client: ClientView) -> IntArray:
            states[client.index] = CoveredClient(client, federation.budgets[client.index])
            return np.array([len(states[client.index].points)])

        federation.gather(join)
        if any(federation.budgets):
            radius = self._radius(federation, states)
            centroids = federation.gather(lambda client: states[client.index].announce(radius))
            known = federation.broadcast(np.concatenate(centroids))
            for state in states.values():
                state.cover(known)
            for _ in range(sum(federation.budgets)):
                self._buy_one(federation, states)
        return federation.each(lambda client, _: np.array(states[client.index].chosen))

    def _radius(self, federation: FederationView, states: dict[int, CoveredClient]) -> float:
        """Return delta: the parameter, or the largest radius whose balls are pure enough."""
        if self.params.delta is not None:
            return float(self.params.delta)
        counts = np.sum(federation.gather(lambda client: states[client.index].pure_balls()), axis=0)
        chosen = largest_pure_radius(counts, self.params.purity)
        return float(federation.broadcast(np.array([chosen]))[0])

    def _buy_one(self, federation: FederationView, states: dict[int, CoveredClient]) -> None:
        """Take the centroid that covers most, and buy the sample closest to it."""
        centres = self._proposed(federation, states)
        if len(centres) == 0:
            federation.broadcast(np.zeros(1, dtype=np.uint8))  # what says so costs a byte
            for state in states.values():
                state.uncover()
            centres = self._proposed(federation, states)
        answers = np.array(federation.gather(lambda c: states[c.index].answer(centres)))
        winner = int(answers[:, :, 0].sum(axis=0).argmax())
        buyer = int(answers[:, winner, 1].argmin())
        # What was broadcast is all that clients know of it.
        winner, buyer = federation.broadcast(np.array([winner, buyer], dtype=np.int32)).tolist()
        for client, state in states.items():
            state.cover(centres[winner : winner + 1])
            if client == buyer:
                state.buy(centres[winner])

    def _proposed(self, federation: FederationView, states: dict[int, CoveredClient]) -> RealArray:
        """Return the centroids that clients with budget propose, shape (k, d)."""
        proposals = federation.gather(lambda client: states[client.index].propose())
        centres: RealArray = federation.broadcast(np.concatenate(proposals))
        return centres


class CoveredClient(ClientState):
    """A client whose samples are covered by balls."""

    def pure_balls(self) -> IntArray:
        """Return how many balls were looked at, and how many are pure at each radius."""
        return pure_balls(self.points, self.client.n_classes, self.client.rng)

    def announce(self, radius: float) -> RealArray:
        """Return the centroid of the ball around each labelled sample, shape (m, d)."""
        self._cover = Cover(self.points, radius)
        labelled = self.points[self.unlabelled :]
        balls = [self.points[self._cover.within(sample[None])] for sample in labelled]
        self._cover.add(labelled)
        centroids = np.array([ball.mean(axis=0) for ball in balls], dtype=np.float32)
        return centroids.reshape(-1, self.points.shape[1])

    def cover(self, centres: RealArray) -> None:
        """Cover the balls around ``centres``, shape (k, d)."""
        self._cover.add(centres)

    def uncover(self) -> None:
        """Start covering again from nothing."""
        self._cover.clear()

    def propose(self) -> RealArray:
        """Return the centroid of the best ball, shape (1, d), or none without budget."""
        best = self._cover.best_ball() if self.for_sale.any() else None
        rows = np.empty((0, self.points.shape[1])) if best is None else best[None]
        return rows.astype(np.float32)

    def answer(self, centres: RealArray) -> RealArray:
        """Return how many uncovered samples each ball holds, and how far the closest for sale is.

        Single precision, shape (k, 2); the distance is infinite if none can be bought.
        """
        offered = Vectors(self.points[: self.unlabelled][self.for_sale])
        distances = np.sqrt(nearest_squared(Vectors(centres), offered))
        return np.stack([self._cover.gains(centres), distances], axis=1).astype(np.float32)

    def buy(self, centre: RealArray) -> None:
        """Buy the sample closest to ``centre``; ties go to the earlier one.

        The two samples of a ball are equally close to its centroid but for the centroid's rounding.
        """
        offered = np.flatnonzero(self.for_sale)
        centres = Vectors(np.asarray(centre)[None])
        squared = squared_distances(Vectors(self.points[offered]), centres)[:, 0]
        self.take(int(offered[squared <= squared.min() + TIE][0]))
