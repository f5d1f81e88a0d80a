"""Agents that learn from their latest episodes alone: stable-baselines3's PPO and A2C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import gymnasium
import numpy as np
from stable_baselines3 import A2C, PPO
from torch import nn

from fal_bench.environments.agents.policy import GreedyPolicy
from fal_bench.environments.agents.streams import global_streams
from fal_bench.errors import InvalidSpecError

Algorithm = Literal["ppo", "a2c"]

ALGORITHMS: Final = {"ppo": PPO, "a2c": A2C}
"""Classes of stable-baselines3, by the name that strategies give them."""


@dataclass(frozen=True)
class Rollouts:
    """How long an agent learns.

    Attributes:
        epochs: times that steps are collected and learned from.
        steps: steps that are collected each time, over as many episodes as they make.
    """

    epochs: int
    steps: int

    def __post_init__(self) -> None:
        # PPO normalises advantages, for which one step is too few.
        if self.epochs < 0 or self.steps < 2:
            raise InvalidSpecError(
                f"Training on policy takes epochs of at least 0 and steps of at least 2; this one "
                f"is {self}."
            )


def learn(
    algorithm: Algorithm,
    environment: gymnasium.Env[Any, Any],
    rollouts: Rollouts,
    rng: np.random.Generator,
    *,
    learning_rate: float,
    gamma: float,
) -> GreedyPolicy:
    """Train an agent in an environment and return its most likely actions as a policy.

    Args:
        algorithm: the algorithm's name.
        environment: the environment; its episodes are drawn from ``rng``.
        rollouts: how long the agent learns.
        rng: decides the first weights, the episodes, the actions and the batches.
        learning_rate: learning rate of Adam (PPO) or RMSprop (A2C).
        gamma: discount.
    """
    with global_streams(rng):
        environment.reset(seed=int(rng.integers(2**31)))
        agent = ALGORITHMS[algorithm](
            "MlpPolicy",
            environment,
            n_steps=rollouts.steps,
            learning_rate=learning_rate,
            gamma=gamma,
            policy_kwargs={"activation_fn": nn.ReLU, "net_arch": [64, 64]},
            device="cpu",
            **({"batch_size": rollouts.steps} if algorithm == "ppo" else {}),
        )
        if rollouts.epochs:
            agent.learn(rollouts.epochs * rollouts.steps)
    layers = [*agent.policy.mlp_extractor.policy_net, agent.policy.action_net]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    return GreedyPolicy(
        tuple(layer.weight.detach().clone() for layer in linear),
        tuple(layer.bias.detach().clone() for layer in linear),
    )
