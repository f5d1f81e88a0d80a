"""The agent that one client keeps: built, trained, stored in the client's memory, and asked.

An agent never leaves its client.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import FloatArray
from fal_bench.plugins.strategy import ClientView
from fal_bench.strategies.fedral.params import FedRALParams
from fal_bench.strategies.fedral.simulation import Simulation

if TYPE_CHECKING:
    from fal_bench.environments.agents.episodes import Episode
    from fal_bench.environments.agents.policy import GreedyPolicy

Observation = FloatArray
LOG = logging.getLogger(__name__)


def target_precision(warm: Sequence[Episode], params: FedRALParams) -> float | None:
    """Return the precision that ends an episode, from the warm-start episodes; None if it is 0."""
    final = [episode.infos[-1]["precision"] for episode in warm]
    best = np.max(final) if params.target_stat == "max" else np.median(final)
    # A target of zero would end every episode at once: then there is none.
    return float(params.tau * best) or None


class OnPolicyAgent:
    """One client's PPO or A2C agent, which is trained once; its policy is fixed then.

    Args:
        client: what the client may know; the policy lives in its ``memory``.
        params: FedRAL's parameters.
    """

    def __init__(self, client: ClientView, params: FedRALParams) -> None:
        self._client = client
        self._params = params
        self._policy: GreedyPolicy | None = None

    def pretrain(self, simulation: Simulation) -> None:
        """Run warm-start episodes, which set the target precision, then train."""
        from fal_bench.environments.agents.episodes import random_episodes
        from fal_bench.environments.agents.on_policy import Rollouts, learn

        params, rng = self._params, self._client.rng
        assert params.agent != "dqn"
        warm = random_episodes(simulation.warm_start(), params.length("warm_episodes"), rng)
        target = self._client.memory["target"] = target_precision(warm, params)
        steps = params.length("episodes") * params.length("max_steps")
        rollouts = Rollouts(params.length("epochs"), max(steps, 2))
        environment = simulation.training(target)
        rates = {"learning_rate": params.lr, "gamma": params.gamma}
        self._policy = learn(params.agent, environment, rollouts, rng, **rates)

    def store(self) -> None:
        """Put the policy into the client's memory."""
        assert self._policy is not None
        self._client.memory["policy"] = self._policy.to_arrays()

    def act(self, observation: Observation) -> int:
        """Return the most likely action."""
        assert self._policy is not None
        return self._policy.act(observation)


class ClientAgent:
    """One client's DQN agent.

    Args:
        client: what the client may know; the agent lives in its ``memory``.
        params: FedRAL's parameters.
        n_actions: number of actions.
    """

    def __init__(self, client: ClientView, params: FedRALParams, n_actions: int) -> None:
        from fal_bench.environments.agents.persistence import load_state

        self._client = client
        self._params = params
        returns = Simulation(client, params).return_range()
        self.dqn = _build(params, n_actions, client.rng, returns)
        stored = client.memory.get("agent")
        if stored is not None:
            load_state(self.dqn, stored["values"], stored["arrays"])

    @property
    def weights(self) -> NDArray[np.float32]:
        """The weights of the online and the target network, one after the other, shape (d,)."""
        from torch.nn.utils import parameters_to_vector

        found: NDArray[np.float32] = parameters_to_vector(self.dqn.policy.parameters()).numpy(
            force=True
        )
        return found

    @weights.setter
    def weights(self, values: NDArray[np.float32]) -> None:
        import torch
        from torch.nn.utils import vector_to_parameters

        vector_to_parameters(torch.tensor(values), self.dqn.policy.parameters())

    def pretrain(self, simulation: Simulation) -> None:
        """Run warm-start episodes, which set the target precision, then train."""
        self.begin(simulation)
        self.train(simulation, self._params.length("epochs"))

    def begin(self, simulation: Simulation) -> None:
        """Run warm-start episodes, which set the target precision, and learn from them."""
        from fal_bench.environments.agents.episodes import warm_start

        warm = warm_start(self.dqn, simulation.warm_start(), self._params.length("warm_episodes"))
        self._client.memory["target"] = target_precision(warm, self._params)
        updates = self._params.length("updates")
        if updates:
            self.dqn.train(updates)

    def train(self, simulation: Simulation, epochs: int) -> None:
        """Train for some epochs of simulated episodes."""
        if epochs:
            self.learn(self.episodes(simulation), epochs)

    def episodes(self, simulation: Simulation) -> Any:
        """Return the environment that the agent is trained in."""
        return simulation.training(self._client.memory["target"])

    def learn(self, episodes: Any, epochs: int) -> None:
        """Train for some epochs in an environment."""
        from fal_bench.environments.agents.episodes import TrainingPlan, train

        plan = TrainingPlan(
            epochs=epochs,
            episodes=self._params.length("episodes"),
            updates=self._params.length("updates"),
            updates_per=self._params.updates_per,
        )
        train(self.dqn, episodes, plan)

    def act(self, observation: Observation) -> int:
        """Return the action of the largest value."""
        action: int = self.dqn.act(observation, greedy=True)
        return action

    def empty_replay(self) -> None:
        """Forget all transitions."""
        assert self.dqn.replay_buffer is not None
        self.dqn.replay_buffer.reset()

    def store(self) -> None:
        """Put the agent's whole state, and its policy alone, into the client's memory."""
        from fal_bench.environments.agents.persistence import save_state
        from fal_bench.environments.agents.policy import GreedyPolicy

        values, arrays = save_state(self.dqn)
        self._client.memory["agent"] = {"values": values, "arrays": arrays}
        self._note_values()
        self._client.memory["policy"] = GreedyPolicy.of(self.dqn).to_arrays()

    def _note_values(self) -> None:
        """Record how large values were; say so where they are no returns any more."""
        seen = self.dqn.largest_values
        if not seen:
            return
        noted = {"cycle": self._client.cycle, "largest": seen, "diverged": self.dqn.diverged}
        self._client.memory["values"] = [*self._client.memory.get("values", []), noted]
        if self.dqn.diverged:
            LOG.warning(
                "Values of client %d's agent reach %.3g, beyond twice the largest return (%s).",
                self._client.index,
                max(seen),
                self.dqn.return_range,
            )


def _build(
    params: FedRALParams, n_actions: int, rng: np.random.Generator, returns: tuple[float, float]
) -> Any:
    from gymnasium import spaces

    from fal_bench.environments.agents.dqn import FedRALDQN, LinearEpsilon, SpacesOnly

    training_episodes = params.length("epochs") * params.length("episodes")
    return FedRALDQN(
        "MlpPolicy",
        SpacesOnly(
            spaces.Box(0.0, 1.0, (params.quantiles,), np.float32),
            spaces.Discrete(n_actions),
            returns,
        ),
        learning_rate=params.lr,
        gamma=params.gamma,
        rng=rng,
        double=params.double,
        bounded=params.bounded,
        epsilon=LinearEpsilon(1.0, params.final_epsilon, max(training_episodes, 1)),
        replay_buffer_kwargs={"exponent": params.priority_exponent, "beta": params.beta},
    )
