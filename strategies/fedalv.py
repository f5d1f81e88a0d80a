"""FEDALV: source samples that look like what the model finds strange in the target domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fal_bench.acquisition.points import Vectors, squared_distances
from fal_bench.acquisition.scores import largest
from fal_bench.arrays import FloatArray, RealArray
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.needs import Need, TargetDomain
from fal_bench.plugins.strategy import (
    ClientView,
    FederationView,
    Params,
    Selection,
    Strategy,
    TargetView,
)


class FEDALVParams(Params):
    """Parameters of ``fedalv``.

    Attributes:
        candidates: target samples of the highest free energy that are looked at.
        outputs_are_energies: read the model's outputs as energies, small for the likely class, as
            the released code does; they are logits, large for the likely class, otherwise.
    """

    candidates: Annotated[int, Field(ge=1)] = 1000
    outputs_are_energies: bool = False


class FEDALV(Strategy):
    """For each target sample of high free energy the nearest source sample, of whichever client.

    Caramalau et al., "Federated Active Learning for Target Domain Generalisation", arXiv
    2312.02247, 2023. The server ranks the unlabelled samples of the target domain by free energy,
    -log sum exp(logits), which is high where they are unlike what the model was trained on. Label
    by label it takes the next of them, and buys the unlabelled sample of all clients that is
    nearest to it in the global model's embedding. When the target samples are used up, it starts
    from the first again.

    The budget is the federation's: on tasks with ``allotment = { kind = "server" }`` neighbours
    alone decide how many labels each client buys; on others a client drops out once it has bought
    its own. Clients see embeddings of target samples, and send a distance a label. The paper trains
    with regularisers of the embedding and aligns energies at the server; that is a way to train
    and no part of the selection.

    Needs: a task with a target domain (``partition = { kind = "given", target = "NAME" }``) and the
    server. Cost: one pass over pool and target domain, pool x embedding size operations a label.
    Fails where the embedding tells domains apart and not classes: the same few samples of a client
    are then nearest to everything.
    """

    name: ClassVar[str] = "fedalv"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "coordinated"
    paper: ClassVar[str] = "FEDALV, Caramalau et al., arXiv 2312.02247"
    needs: ClassVar[frozenset[Need]] = frozenset({TargetDomain()})
    Params: ClassVar[type[Params]] = FEDALVParams

    def select_all(self, federation: FederationView) -> Sequence[Selection]:
        """Rank the target domain, then buy the neighbours of its samples in turn."""
        wanted = federation.broadcast(self._wanted(federation.target))
        if not len(wanted):
            raise InvalidSpecError("The target domain has no samples; name one that has some.")
        states: dict[int, Neighbours] = {}

        def join(client: ClientView) -> NDArray[np.int64]:
            states[client.index] = Neighbours(client, federation.limits[client.index])
            return np.zeros(0, dtype=np.int64)

        federation.gather(join)
        bought = [0] * federation.clients
        for number in range(federation.total_budget):
            sample = wanted[number % len(wanted)]

            def offer(client: ClientView, to: FloatArray = sample) -> FloatArray:
                return states[client.index].offer(to)

            offers = federation.gather(offer)
            # What was broadcast is all that clients know of it.
            buyer = int(federation.broadcast(np.argmin(offers, axis=0).astype(np.int32))[0])
            bought[buyer] += 1
            if buyer in states:
                states[buyer].buy()
        return federation.each(lambda client, _: np.array(states[client.index].chosen), bought)

    def _wanted(self, target: TargetView) -> FloatArray:
        """Return embeddings of the target samples of highest free energy, shape (k, d)."""
        logits = target.logits(target.global_model)
        energies = free_energies(-logits if self.params.outputs_are_energies else logits)
        ranked = largest(energies, self.params.candidates)
        return target.embeddings(target.global_model)[ranked]


def free_energies(logits: RealArray) -> RealArray:
    """Return -log sum exp of each sample's logits, shape (n,); high where all are small."""
    from scipy.special import logsumexp

    energies: RealArray = -logsumexp(np.asarray(logits, dtype=np.float64), axis=1)
    return energies


class Neighbours:
    """One client's unlabelled samples during one query; nothing of it travels by itself.

    Args:
        client: the client.
        limit: labels it may buy.

    Attributes:
        chosen: positions in ``client.unlabelled`` bought so far.
    """

    def __init__(self, client: ClientView, limit: int) -> None:
        self.chosen: list[int] = []
        self._points = Vectors(client.embeddings(client.global_model))
        self._left = np.ones(len(self._points), dtype=bool)
        self._limit = limit
        self._offered = -1

    def offer(self, sample: FloatArray) -> FloatArray:
        """Return how far the nearest sample for sale is, squared; infinite without any.

        Args:
            sample: embedding of a target sample, shape (d,).

        Returns:
            Shape (1,).
        """
        if len(self.chosen) >= self._limit or not self._left.any():
            return np.full(1, np.inf, dtype=np.float32)
        squared = squared_distances(self._points, Vectors(sample[None]))[:, 0]
        squared[~self._left] = np.inf
        self._offered = int(squared.argmin())
        return squared[[self._offered]].astype(np.float32)

    def buy(self) -> None:
        """Buy what was offered last."""
        self._left[self._offered] = False
        self.chosen.append(self._offered)
