"""The LeaDQ strategy: the exchange between server and clients in one cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.strategy import ClientView, FederationView, Params, Selection, Strategy
from fal_bench.strategies.leadq_pool.arrivals import Arrivals, default_reward_labels
from fal_bench.strategies.leadq_pool.params import LeaDQParams
from fal_bench.task import Task

if TYPE_CHECKING:
    from fal_bench.strategies.leadq_pool.learner import JointLearner


class LeaDQPool(Strategy):
    """A Q-network that all clients share picks one sample of each random sub-pool.

    Sun et al., "Learn How to Query from Unlabeled Data Streams in Federated Learning" (LeaDQ),
    AAAI 2025. There, ten samples arrive at a client a round and one is queried. Here, each label
    of a query comes from a sub-pool of its own, drawn from the pool without replacement.
    Observation: the softmax outputs of the sub-pool under the global model. Action: one of its
    samples, chosen by least confidence until enough transitions are stored. Reward: the change of
    the global model's accuracy on a labelled set, in percentage points. State of the mixing
    network: the global model's losses on that set. The queries of one cycle share its reward
    evenly, because the model is not trained between them.

    The reward set is bought by the clients from their own pools, is charged (the original takes
    1000 labelled test images and charges nothing), and is kept out of the queries as long as
    anything else is left; the last samples of a pool may be taken from it.

    Differences to the released code: it never updates the mixing network (``mixer=frozen``); it
    cuts the return after ten rounds and stores the state after an action in place of that before
    it. Its recurrent network is reset before every choice, so a feed-forward one (an option of
    that code) takes its place.

    Cost: the labels of the reward set; one pass over the pool; the softmax outputs of all
    sub-pools travel to the server and the Q-network to the clients, both counted. Fails where
    cycles are few: a cycle yields a single reward, and noise in the accuracy of a small reward
    set drowns what one query changes.
    """

    name: ClassVar[str] = "leadq-pool"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "reinforcement learning"
    paper: ClassVar[str] = "LeaDQ, Sun et al., AAAI 2025"
    Params: ClassVar[type[Params]] = LeaDQParams

    def check_shares(self, task: Task, sizes: Mapping[str, int]) -> None:
        """Check that a given reward set leaves something of the pool."""
        wanted = self.params.reward_labels
        left = sizes["pool"] - task.initial_labels
        if wanted is not None and wanted >= left:
            raise InvalidSpecError(
                f"Strategy 'leadq-pool': a reward set of {wanted} labels leaves nothing of a pool "
                f"of {left} unlabelled samples a client (task {task.name!r}); lower reward_labels."
            )

    def select_all(self, federation: FederationView) -> Sequence[Selection]:
        """Measure, observe, learn from the last cycle's reward, and choose."""
        reports = federation.gather(lambda client: self._measure(client, federation.clients))
        federation.each(lambda client, budget: self._at(client).draw(budget))
        observations = federation.gather(lambda client: self._at(client).observe())
        server = Server(federation, self.params, reports, observations)
        policy = federation.broadcast(server.learn())
        selections = federation.each(lambda client, _: self._choose(client, policy))
        server.await_reward(federation.gather(lambda client: self._at(client).report()))
        return selections

    def _at(self, client: ClientView) -> Arrivals:
        return Arrivals(client, self.params.arrivals)

    def _measure(self, client: ClientView, clients: int) -> FloatArray:
        wanted = self.params.reward_labels
        if wanted is None:
            wanted = default_reward_labels(clients, len(client.unlabelled))
        return self._at(client).measure(wanted)

    def _choose(self, client: ClientView, policy: NDArray[Any]) -> IntArray:
        from fal_bench.strategies.leadq_pool.learner import q_values

        arrivals = self._at(client)
        if not len(policy):
            return arrivals.choose(None, 0.0)
        values = q_values(policy, arrivals.observe(), self.params.hidden)
        return arrivals.choose(values, self.params.epsilon)


class Server:
    """What the server knows in one cycle, and what it keeps for the next.

    Args:
        federation: the federation, whose memory holds the learner and the unrewarded queries.
        params: LeaDQ's parameters.
        reports: each client's losses and hits on its reward set; see ``Arrivals.measure``.
        observations: each client's sub-pools; see ``Arrivals.observe``.
    """

    def __init__(
        self,
        federation: FederationView,
        params: LeaDQParams,
        reports: Sequence[NDArray[Any]],
        observations: Sequence[NDArray[Any]],
    ) -> None:
        self._memory = federation.memory
        self._params = params
        self._rng = federation.rng
        self._state = np.concatenate([losses for losses, _ in reports])
        hits = np.concatenate([hits for _, hits in reports])
        self._percent = 100 * float(hits.mean()) if len(hits) else None
        self._steps = max(map(len, observations))
        shape = (self._steps, len(observations), *observations[0].shape[1:])
        self._subpools = np.zeros(shape, dtype=np.float32)
        for client, own in enumerate(observations):
            self._subpools[: len(own), client] = own

    def learn(self) -> FloatArray:
        """Learn from the last cycle's queries; return the Q-network's weights.

        They are empty as long as least confidence has to choose.
        """
        if self._percent is None or not self._steps:
            return np.empty(0, dtype=np.float32)
        learner = self._learner()
        if "waiting" in self._memory:
            self._reward(learner, self._memory.pop("waiting"))
        if learner.warm:
            learner.train()
        self._memory["learner"] = learner.save()
        return learner.policy() if learner.warm else np.empty(0, dtype=np.float32)

    def await_reward(self, actions: Sequence[NDArray[Any]]) -> None:
        """Keep this cycle's queries until the accuracy of the next model is known."""
        if self._percent is None or not self._steps:
            return
        joint = np.zeros((self._steps, len(actions)), dtype=np.int64)
        for client, own in enumerate(actions):
            joint[: len(own), client] = own
        self._memory["waiting"] = {
            "subpools": self._subpools,
            "state": self._state,
            "actions": joint,
            "percent": self._percent,
        }

    def _learner(self) -> JointLearner:
        from fal_bench.strategies.leadq_pool.learner import JointLearner

        learner = JointLearner(self._layout, self._params, self._rng)
        if "learner" in self._memory:
            learner.load(self._memory["learner"])
        return learner

    @property
    def _layout(self) -> Any:
        from fal_bench.strategies.leadq_pool.learner import Layout

        _, clients, arrivals, n_classes = self._subpools.shape
        return Layout(clients, arrivals, n_classes, len(self._state))

    def _reward(self, learner: JointLearner, waiting: dict[str, Any]) -> None:
        """Store the last cycle's queries as transitions; each leads to the next query."""
        assert self._percent is not None
        steps = len(waiting["actions"])
        reward = (self._percent - waiting["percent"]) / steps
        seen = [self._layout.join(own, waiting["state"]) for own in waiting["subpools"]]
        seen.append(self._layout.join(self._subpools[0], self._state))
        for step, actions in enumerate(waiting["actions"]):
            learner.remember(seen[step], actions, reward, seen[step + 1])
