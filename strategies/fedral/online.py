"""FedRAL without simulation: one cycle of the federation is one step of the environment."""

from __future__ import annotations

from typing import Any

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView
from fal_bench.strategies.fedral.agent import ClientAgent, Observation
from fal_bench.strategies.fedral.params import FedRALParams
from fal_bench.strategies.fedral.simulation import Simulation

WINDOW = 20
"""Bought labels over which precision is measured where there is no reward set."""


class OnlineLearning:
    """Turns cycles into transitions, with rewards from bought labels only.

    P_t is the precision of cycle t's global model: on the reward set, if one was bought, else on
    the client's latest purchases up to cycle t's, each as the model of its cycle predicted it
    before it was trained on. The action of cycle t earns P_{t+1} - P_t (with the default reward).
    With a reward set that is known in cycle t + 1; without one, in cycle t + 2, when the labels
    bought in cycle t + 1 have been revealed.

    Args:
        client: what the client may know; what is pending lives in its ``memory``.
        params: FedRAL's parameters.
        agent: the client's agent.
    """

    def __init__(self, client: ClientView, params: FedRALParams, agent: ClientAgent) -> None:
        self._client = client
        self._params = params
        self._agent = agent
        memory: dict[str, Any] = client.memory.setdefault(
            "online", {"steps": [], "precision": None, "ids": [], "predicted": []}
        )
        self._memory = memory

    def learn(self, observation: Observation) -> None:
        """Complete the step whose reward is known by now, and train."""
        precision = self._newest_precision()
        if precision is not None:
            self._complete(precision, observation)
            self._memory["precision"] = precision
        assert self._agent.dqn.replay_buffer is not None
        if self._agent.dqn.replay_buffer.size():
            self._agent.dqn.train(self._params.length("updates"))

    def remember(self, observation: Observation, action: int, chosen: IntArray) -> None:
        """Keep this cycle's step, and what the model predicts for the samples it buys."""
        probs = self._client.probs(self._client.global_model)
        ids = self._client.unlabelled[chosen]
        self._memory["ids"] = [*self._memory["ids"], *ids.tolist()][-WINDOW:]
        predicted = probs[chosen].argmax(axis=1).tolist()
        self._memory["predicted"] = [*self._memory["predicted"], *predicted][-WINDOW:]
        share = len(chosen) / (len(self._client.unlabelled) + len(self._client.labelled))
        step = {"observation": observation, "action": action, "share": share}
        self._memory["steps"] = [*self._memory["steps"], step][-2:]

    def _complete(self, precision: float, now: Observation) -> None:
        """Store the transition of the step that led from the last precision to this one."""
        from fal_bench.environments import EpisodeOptions
        from fal_bench.environments.agents.episodes import store_transition
        from fal_bench.environments.steps import Progress, reward

        # With a reward set this cycle's precision closes the last step, and what follows it is
        # seen now; without one the newest precision is the last cycle's and closes the step
        # before, which was followed by the last one.
        seen = [*(step["observation"] for step in self._memory["steps"]), now]
        steps = self._memory["steps"] if self._has_reward_set else self._memory["steps"][:-1]
        before = self._memory["precision"]
        if before is None or not steps:
            return
        step, after = steps[-1], seen[len(steps)]
        options = EpisodeOptions.of({"reward": self._params.reward, "cost": self._params.cost})
        progress = Progress(precision, max(step["share"], 1e-9))
        gained = reward(options, Progress(before, progress.batch_share), progress, self._client.rng)
        store_transition(
            self._agent.dqn,
            np.asarray(step["observation"], dtype=np.float32),
            step["action"],
            gained,
            np.asarray(after, dtype=np.float32),
            terminated=False,
        )
        self._agent.dqn.finish_episode()

    @property
    def _has_reward_set(self) -> bool:
        return self._params.reward_labels is not None

    def _newest_precision(self) -> float | None:
        """Return the newest P that is known; None before anything was bought to measure it on."""
        from fal_bench.metrics.classification import weighted_precision

        if self._has_reward_set:
            return Simulation(self._client, self._params).precision()
        if not self._memory["ids"]:
            return None
        position = {sample: i for i, sample in enumerate(self._client.labelled.tolist())}
        labels = self._client.labels[[position[sample] for sample in self._memory["ids"]]]
        predicted = np.asarray(self._memory["predicted"])
        return weighted_precision(predicted, labels, self._client.n_classes)
