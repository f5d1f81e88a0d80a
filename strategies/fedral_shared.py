"""FedRAL with one policy for all clients, made by averaging their agents while they learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fal_bench.plugins.strategy import ClientView, FederationView, Params, Selection
from fal_bench.strategies.fedral.agent import ClientAgent
from fal_bench.strategies.fedral.params import FedRALParams
from fal_bench.strategies.fedral.simulation import Simulation
from fal_bench.strategies.fedral.strategy import FedRAL

Weights = NDArray[np.float32]


class FedRALSharedParams(FedRALParams):
    """Parameters of ``fedral-shared``: those of ``fedral`` with ``mode=pretrain, agent=dqn``.

    Attributes:
        largest_batch: largest batch of the size grid, which all clients share.
    """

    largest_batch: Annotated[int, Field(ge=1)] = 20

    @model_validator(mode="after")
    def _trained_once(self) -> FedRALSharedParams:
        if self.mode != "pretrain" or self.agent != "dqn" or self.refresh:
            raise ValueError(
                "one policy is trained before the first query; use mode=pretrain and agent=dqn "
                "without refresh, or fedral"
            )
        return self


class FedRALShared(FedRAL):
    """FedRAL whose clients average their agents' networks after every epoch of agent training.

    Lazaridis et al., "FedRAL", train an agent per client and name shared policies as future work.
    Here every client runs its own episodes on its own data, as in ``fedral``; the server averages
    the networks, all clients alike, before the first epoch and after each. Replay buffers, the
    optimisers' state and the target precision stay at their client. After it all clients choose by
    one policy. A client that misses the first query trains an agent of its own when it comes.

    Cost: that of ``fedral``, and two copies of a small network a client, epoch and direction. Fails
    where ``fedral`` does, under strict accounting.
    """

    name: ClassVar[str] = "fedral-shared"
    version: ClassVar[int | None] = 1
    paper: ClassVar[str] = "FedRAL, its future work"
    Params: ClassVar[type[Params]] = FedRALSharedParams

    def select_all(self, federation: FederationView) -> Sequence[Selection]:
        """Train one policy before the first query, then select client by client."""
        if federation.cycle == 0:
            self._train_together(federation)
        return federation.each(self.select)

    def _train_together(self, federation: FederationView) -> None:
        learners: dict[int, _Learner] = {}

        def begin(client: ClientView) -> Weights:
            simulation = Simulation(client, self.params)
            actions = len(self._all_actions(simulation.sizes()))
            learners[client.index] = _Learner(ClientAgent(client, self.params, actions), simulation)
            return learners[client.index].weights

        def learn(client: ClientView) -> Weights:
            learners[client.index].learn(shared)
            return learners[client.index].weights

        def finish(client: ClientView) -> Weights:
            learners[client.index].finish(shared)
            return np.empty(0, dtype=np.float32)

        shared = federation.broadcast(np.mean(federation.gather(begin), axis=0))
        for _ in range(self.params.length("epochs")):
            shared = federation.broadcast(np.mean(federation.gather(learn), axis=0))
        federation.gather(finish)


class _Learner:
    """A client's agent and the episodes that it is trained in, during the first query."""

    def __init__(self, agent: ClientAgent, simulation: Simulation) -> None:
        self._agent = agent
        agent.begin(simulation)
        self._episodes = agent.episodes(simulation)

    @property
    def weights(self) -> Weights:
        """The weights of both networks, shape (d,)."""
        return self._agent.weights

    def learn(self, shared: Weights) -> None:
        """Train for one epoch from the shared weights."""
        self._agent.weights = shared
        self._agent.learn(self._episodes, epochs=1)

    def finish(self, shared: Weights) -> None:
        """Take the shared weights over for good."""
        self._agent.weights = shared
        self._agent.store()
