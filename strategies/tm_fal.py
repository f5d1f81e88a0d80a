"""TM-FAL: samples whose features keep moving while the federation trains, class by class."""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import Annotated, ClassVar, Final

import numpy as np
from pydantic import Field

from fal_bench.acquisition.scores import largest
from fal_bench.arrays import IntArray, RealArray
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.needs import Need, RoundSnapshots
from fal_bench.plugins.strategy import ClientView, Params, Strategy
from fal_bench.task import Task

LEAST_CONFIDENCE: Final = 1e-14
"""Added to the confidence that a variation is divided by."""


class TMFALParams(Params):
    """Parameters of ``tm-fal``; the defaults are the released code's.

    Attributes:
        every: a snapshot of the global model is kept after each so many rounds.
        most: the first so many snapshots are looked at.
    """

    every: Annotated[int, Field(ge=1)] = 2
    most: Annotated[int, Field(ge=2, le=1_000)] = 20


class TMFAL(Strategy):
    """Features that vary most over the rounds, for what confidence there is, class by class.

    TM-FAL (MICCAI 2025), from its released code. Snapshots of the global model are kept every two
    rounds. A sample's uncertainty is the standard deviation of its features over the snapshots,
    averaged over the features, divided by the largest class probability of their mean prediction.
    The classes that the final global model predicts take turns, each with its most uncertain
    sample left, so that no class fills the query.

    As in the code, the first 20 snapshots are used, however many rounds there are. The code can
    also add the client's own snapshots, which it does not by default; they are left out here, and
    so is the cut to a random 10,000 samples of large pools.

    Needs: snapshots of the global model (``RoundSnapshots``), which are kept in memory. Cost: a
    pass over the pool for each. Fails where training hardly moves features any more in the rounds
    that are looked at, and where features of different size are compared, since they are not
    scaled.
    """

    name: ClassVar[str] = "tm-fal"
    version: ClassVar[int | None] = 1
    deterministic: ClassVar[bool] = True
    family: ClassVar[str] = "training dynamics"
    paper: ClassVar[str] = "TM-FAL, MICCAI 2025"
    Params: ClassVar[type[Params]] = TMFALParams

    @property
    def needs(self) -> frozenset[Need]:
        """The snapshots that the parameters describe."""
        return frozenset({RoundSnapshots(self.params.every, self.params.most)})

    def check_task(self, task: Task) -> None:
        """Check that there are two snapshots to compare."""
        every = self.params.every
        if task.rounds < 2 * every:
            raise InvalidSpecError(
                f"Strategy 'tm-fal' compares snapshots every {every} rounds, but task "
                f"{task.name!r} has only {task.rounds}; set rounds to {2 * every} or more, or "
                "lower every."
            )

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the most uncertain samples of each predicted class in turn."""
        uncertainty = temporal_uncertainty(client)
        predicted = client.probs(client.global_model).argmax(axis=1)
        ranked = [
            members[largest(uncertainty[members], budget)].tolist()
            for members in (np.flatnonzero(predicted == label) for label in np.unique(predicted))
        ]
        turns = chain.from_iterable(zip_longest(*ranked))
        return np.array([one for one in turns if one is not None][:budget], dtype=np.int64)


def temporal_uncertainty(client: ClientView) -> RealArray:
    """Return how much each unlabelled sample's features vary, over its confidence, shape (n,)."""
    mean: RealArray = np.zeros(1)
    squares: RealArray = np.zeros(1)
    probs: RealArray = np.zeros(1)
    count = len(client.snapshots)
    for number, model in enumerate(client.snapshots, start=1):
        # By ids, so that the view keeps none of it.
        features = client.embeddings(model, client.unlabelled).astype(np.float64)
        moved = features - mean
        mean = mean + moved / number  # Welford's updates
        squares = squares + moved * (features - mean)
        probs = probs + client.probs(model, client.unlabelled).astype(np.float64) / count
    deviation = np.sqrt(squares / (count - 1)).mean(axis=1)
    uncertainty: RealArray = deviation / (np.max(probs, axis=1) + LEAST_CONFIDENCE)
    return uncertainty
