"""The FedRAL strategy: per client, an agent that decides how much to label next."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.files import read_bytes
from fal_bench.plugins.strategy import ClientView, Params, Strategy
from fal_bench.strategies.fedral.agent import ClientAgent, Observation, OnPolicyAgent
from fal_bench.strategies.fedral.online import OnlineLearning
from fal_bench.strategies.fedral.params import FedRALParams
from fal_bench.strategies.fedral.simulation import (
    Simulation,
    check_reward_set,
    size_grid_for,
)
from fal_bench.task import Task

if TYPE_CHECKING:
    from fal_bench.environments.agents.policy import GreedyPolicy
    from fal_bench.environments.steps import BatchActions

MIN_WARM_START = 4
"""Fewest samples of a warm-start episode: one seed label, one step, and something to choose."""

NOTHING = np.empty(0, dtype=np.int64)


class FedRAL(Strategy):
    """A DQN agent per client chooses each batch's size; the least margins fill it.

    Lazaridis, Kastellos, Psaltis and Daras, "FedRAL: Cost-Effective Distributed Annotation via
    Federated Reinforced Active Learning". State: quantiles of the margins of the client's state
    share under the global model. Action: the batch. Reward: the gain in weighted precision. The
    agent never leaves its client; only the classifier is aggregated.

    Cost: simulated episodes on the client's warm-start and agent shares before the first query,
    whose labels are charged as strict labels, many times those that it buys. Fails, as an economy
    of labels, under strict accounting for that reason; ``mode=online`` and
    ``mode=transfer`` read no more than they query. ``docs/fedral.md`` lists what the paper leaves
    open and the option for each.
    """

    name: ClassVar[str] = "fedral"
    version: ClassVar[int | None] = 3
    family: ClassVar[str] = "reinforcement learning"
    paper: ClassVar[str] = "FedRAL, Lazaridis et al."
    adaptive: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ("policy", "values")
    Params: ClassVar[type[Params]] = FedRALParams

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        super().__init__(params)
        if self.params.mode == "transfer":
            self._check_policy()

    @property
    def identity(self) -> dict[str, str]:
        """The digest of the policy's file, for ``mode=transfer``."""
        if self.params.policy is None:
            return {}
        content = read_bytes(Path(self.params.policy), links=True)
        return {"policy": hashlib.sha256(content).hexdigest()}

    def check_task(self, task: Task) -> None:
        """Check that the task gives clients the shares that the mode reads."""
        lacking = []
        if self.params.simulates and not task.shares.warm_start:
            lacking.append("warm_start")
        wants_reward_set = self.params.simulates or self.params.reward_labels is not None
        if wants_reward_set and not task.shares.agent:
            lacking.append("agent")
        if self.params.state_source == "state" and not task.shares.state:
            lacking.append("state")
        if lacking:
            raise InvalidSpecError(
                f"Strategy 'fedral' needs data in the shares {', '.join(lacking)} of task "
                f"{task.name!r}; write shares = {{ state = 0.1, warm_start = 0.1, agent = 0.6, "
                "pool = 0.2 }, or choose other strategies with -s."
            )

    def check_shares(self, task: Task, sizes: Mapping[str, int]) -> None:
        """Check that shares, reward set and policy fit the clients' data."""
        if self.params.simulates and sizes["warm_start"] < MIN_WARM_START:
            raise InvalidSpecError(
                f"Strategy 'fedral' cannot run warm-start episodes on {sizes['warm_start']} "
                f"samples a client (task {task.name!r}); enlarge the warm_start share."
            )
        if self.params.state_source == "state" and not sizes["state"]:
            raise InvalidSpecError(
                f"Strategy 'fedral' finds no sample in a client's state share (task "
                f"{task.name!r}); enlarge it."
            )
        if self.params.simulates or self.params.reward_labels is not None:
            check_reward_set(self.name, self.params, sizes)
        if self.params.mode == "transfer":
            from fal_bench.environments.agents.policy import import_policy

            actions = self._all_actions(size_grid_for(self.params, sizes["pool"]))
            import_policy(self.params.policy).require(self.params.quantiles, len(actions))

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Choose one batch greedily (or, online, epsilon-greedily)."""
        simulation = Simulation(client, self.params)
        if client.memory.get("stopped"):
            return NOTHING
        actions = self._all_actions(simulation.sizes())
        observation = self._observe(client)
        if self.params.mode == "transfer":
            return self._batch(client, actions, self._policy_action(actions, observation), budget)
        if self.params.mode == "online":
            return self._select_online(client, simulation, actions, observation, budget)
        agent = self._trained(client, simulation, len(actions))
        if self._reached(client, simulation):
            client.memory["stopped"] = True
            return NOTHING
        return self._batch(client, actions, agent.act(observation), budget)

    def _reached(self, client: ClientView, simulation: Simulation) -> bool:
        """Whether the client's part of the annotation is over."""
        if self.params.stop == "never":
            return False
        stop = self.params.stop
        target = client.memory["target"] if stop == "warm-start" else stop
        return target is not None and simulation.precision() >= target

    def _trained(
        self, client: ClientView, simulation: Simulation, n_actions: int
    ) -> ClientAgent | OnPolicyAgent | GreedyPolicy:
        if self._is_fixed(client):
            from fal_bench.environments.agents.policy import GreedyPolicy

            return GreedyPolicy.from_arrays(client.memory["policy"])
        if self.params.agent == "dqn":
            agent = ClientAgent(client, self.params, n_actions)
            self._train(client, agent, simulation)
            return agent
        fixed = OnPolicyAgent(client, self.params)
        fixed.pretrain(simulation)
        fixed.store()
        return fixed

    def _is_fixed(self, client: ClientView) -> bool:
        """Whether nothing but the policy that was learned is needed any more."""
        params = self.params
        if params.mode != "pretrain" or "policy" not in client.memory:
            return False
        # Building an agent draws from the client's stream, and a random batch goes on from there.
        return params.agent != "dqn" or not (params.refresh or params.rank == "random")

    def _train(self, client: ClientView, agent: ClientAgent, simulation: Simulation) -> None:
        if self.params.mode == "per_round":
            agent.empty_replay()
            agent.pretrain(simulation)
        elif "agent" not in client.memory:
            agent.pretrain(simulation)
        elif self.params.refresh:
            agent.train(simulation, -(-self.params.refresh // self.params.length("episodes")))
        else:
            return
        agent.store()

    def _select_online(
        self,
        client: ClientView,
        simulation: Simulation,
        actions: BatchActions,
        observation: Observation,
        budget: int,
    ) -> IntArray:
        agent = ClientAgent(client, self.params, len(actions))
        if self._reached(client, simulation):
            client.memory["stopped"] = True
            return NOTHING
        learning = OnlineLearning(client, self.params, agent)
        learning.learn(observation)
        action = agent.dqn.act(observation)
        chosen = self._batch(client, actions, action, budget)
        learning.remember(observation, action, chosen)
        agent.store()
        return chosen

    def _all_actions(self, sizes: tuple[int, ...]) -> BatchActions:
        from fal_bench.environments import EpisodeOptions
        from fal_bench.environments.steps import BatchActions

        options = EpisodeOptions.of({"action": self.params.action, "sizes": sizes})
        return BatchActions.of(options, sizes[-1])

    def _observe(self, client: ClientView) -> Observation:
        """Return the margin quantiles under the current global model."""
        from fal_bench.environments.steps import margin_quantiles

        ids = client.share("state") if self.params.state_source == "state" else None
        return margin_quantiles(client.probs(client.global_model, ids), self.params.quantiles)

    def _batch(
        self, client: ClientView, actions: BatchActions, action: int, budget: int
    ) -> IntArray:
        """Fill the chosen batch, cut to what the client may buy."""
        from fal_bench.environments.steps import rank_samples, take_window

        size = min(actions.size(action), budget)
        if self.params.rank == "random":
            drawn = client.rng.choice(len(client.unlabelled), size, replace=False)
            return drawn.astype(np.int64)
        order = rank_samples(client.probs(client.global_model), self.params.rank)
        return take_window(order, size, actions.window(action))

    def _policy_action(self, actions: BatchActions, observation: Observation) -> int:
        from fal_bench.environments.agents.policy import import_policy

        policy = import_policy(self.params.policy)
        policy.require(len(observation), len(actions))
        return policy.act(observation)

    def _check_policy(self) -> None:
        """Refuse an unusable policy before anything runs."""
        from fal_bench.environments.agents.policy import import_policy

        policy = import_policy(self.params.policy)
        policy.require(self.params.quantiles, policy.n_actions)
