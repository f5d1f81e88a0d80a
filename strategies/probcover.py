"""ProbCover: balls around labelled samples that cover most of a client's pool."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.acquisition.covering import Cover
from fal_bench.arrays import IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, Params, Strategy
from fal_bench.strategies._client_state import unit_embeddings
from fal_bench.strategies._pure_balls import largest_pure_radius, pure_balls


class ProbCoverParams(Params):
    """Parameters of ``probcover``.

    Attributes:
        delta: radius of the balls; chosen by the purity rule in every query if None.
        purity: share of pure balls that the purity rule asks for.
    """

    delta: Annotated[float, Field(gt=0, le=2)] | None = None
    purity: Annotated[float, Field(gt=0, le=1)] = 0.95


class ProbCover(Strategy):
    """The sample whose ball covers most uncovered samples of the client, again and again.

    Yehuda et al., "Active Learning Through a Covering Lens", NeurIPS 2022, client by client;
    ``fed-probcover`` covers the whole federation. Samples within delta of a labelled or picked one
    are covered, those with labels included. delta is the largest radius at which 95 % of the balls
    hold samples of one k-means cluster only, with as many clusters as classes.

    The paper's embedding is self-supervised and frozen, and so is its delta; here the embedding is
    the global model's, scaled to unit length, and both change every cycle. Balls include their rim.
    Where no sample covers anything new, covering starts again from nothing: the paper stops far
    below that budget, and its released code picks labelled samples then.

    Needs: the global model's embeddings of labelled and unlabelled samples. Cost: one pass over
    both and all distances between them, in blocks: time is quadratic, memory linear in the pool.
    Fails at high budgets, where everything is covered, and where the embedding has not learned the
    classes apart: delta is then tiny and every ball holds one sample.
    """

    name: ClassVar[str] = "probcover"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "ProbCover, Yehuda et al., NeurIPS 2022"
    Params: ClassVar[type[Params]] = ProbCoverParams

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick ``budget`` samples, each the centre of the ball that covers most."""
        points, pool = unit_embeddings(client), len(client.unlabelled)
        cover = Cover(points, self._radius(client, points))
        cover.add(points[pool:])
        left = np.arange(len(points)) < pool
        chosen: list[int] = []
        while len(chosen) < budget:
            best = cover.best(left)
            if best is None:
                cover.clear()
                continue
            cover.add(points[best : best + 1])
            left[best] = False
            chosen.append(best)
        return np.array(chosen, dtype=np.int64)

    def _radius(self, client: ClientView, points: RealArray) -> float:
        """Return delta: the parameter, or the largest radius whose balls are pure enough."""
        if self.params.delta is not None:
            return float(self.params.delta)
        counts = pure_balls(points, client.n_classes, client.rng)
        return largest_pure_radius(counts, self.params.purity)
