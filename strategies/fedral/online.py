"""FedRAL without simulation: one cycle of the federation is one step of the environment."""

from __future__ import annotations

from typing import Any

import numpy as np

from fal_bench.strategies.fedral.agent import ClientAgent, Observation
from fal_bench.strategies.fedral.params import FedRALParams
from fal_bench.strategies.fedral.simulation import Simulation
from fal_bench.strategy import ClientView, IntArray

WINDOW = 20
"""Bought labels over which precision is measured where there is no reward set."""


class OnlineLearning:
    """Turns cycles into transitions, with rewards from bought labels only.

    The precision P_t of the global model of cycle t is measured on the reward set, if one was
    bought, or on the client's latest purchases as the model of their cycle predicted them before
    it was trained on them. Cycle t's action is rewarded when P_{t+1} is known.

    Args:
        client: what the client may know.
        params: FedRAL's parameters.
        agent: the client's agent.
    """

    def __init__(self, client: ClientView, params: FedRALParams, agent: ClientAgent) -> None:
        self._client = client
        self._params = params
        self._agent = agent
        memory: dict[str, Any] = client.memory.setdefault(
            "online", {"steps": [], "ids": [], "predicted": []}
        )
        self._memory = memory

    def learn(self, observation: Observation) -> None:
        """Note where this cycle stands, complete what can be completed, and train."""
        precision = self._precision()
        steps = self._memory["steps"]
        if steps and precision is not None:
            self._complete(steps, precision, observation)
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
        self._memory["steps"] = [
            {"observation": observation, "action": action, "share": share, "precision": None},
        ]

    def _complete(self, steps: list[dict[str, Any]], precision: float, after: Observation) -> None:
        from fal_bench.agents.episodes import store_transition
        from fal_bench.environments import EpisodeOptions
        from fal_bench.environments.rewards import Progress, reward

        [step] = steps
        before = self._memory.get("precision")
        self._memory["precision"] = precision
        if before is None:
            return
        options = EpisodeOptions.of({"reward": self._params.reward, "cost": self._params.cost})
        progress = Progress(precision, max(step["share"], 1e-9))
        gained = reward(options, Progress(before, progress.batch_share), progress, self._client.rng)
        store_transition(
            self._agent.dqn,
            np.asarray(step["observation"], dtype=np.float32),
            step["action"],
            gained,
            after,
            terminated=False,
        )
        self._agent.dqn.finish_episode()

    def _precision(self) -> float | None:
        """Return the current precision; None before anything was bought to measure it on."""
        from fal_bench.learning.metrics import weighted_precision

        if self._params.reward_labels is not None:
            ids = Simulation(self._client, self._params).reward_ids()
            labels = self._client.buy(ids, "reward")
            predicted = self._client.probs(self._client.global_model, ids).argmax(axis=1)
        else:
            if not self._memory["ids"]:
                return None
            position = {sample: i for i, sample in enumerate(self._client.labelled.tolist())}
            rows = [position[sample] for sample in self._memory["ids"]]
            labels = self._client.labels[rows]
            predicted = np.asarray(self._memory["predicted"])
        return weighted_precision(predicted, labels, self._client.n_classes)
