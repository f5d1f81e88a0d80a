"""Running an agent through episodes: warm start, training, and acting greedily.

stable-baselines3's ``learn`` counts steps; FedRAL counts episodes, epochs of episodes and updates
between them. These loops use its public interface only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import gymnasium
import numpy as np

from fal_bench.arrays import FloatArray
from fal_bench.environments.agents.dqn import FedRALDQN
from fal_bench.errors import InvalidSpecError

Observation = FloatArray
Environment = gymnasium.Env[Observation, Any]


@dataclass(frozen=True)
class Episode:
    """What happened in one episode of T steps.

    Attributes:
        actions: the T actions.
        rewards: the T rewards.
        infos: the environment's T + 1 info dictionaries, that of ``reset`` first.
        terminated: whether it ended by the task's own rules, not by a limit on its length.
    """

    actions: tuple[int, ...]
    rewards: tuple[float, ...]
    infos: tuple[dict[str, Any], ...]
    terminated: bool

    @property
    def total_reward(self) -> float:
        """Undiscounted sum of the rewards."""
        return float(sum(self.rewards))


@dataclass(frozen=True)
class TrainingPlan:
    """How long an agent is trained.

    Attributes:
        epochs: training epochs (paper: 25).
        episodes: episodes an epoch (paper: 5).
        updates: gradient steps after every episode or epoch (paper: 100).
        updates_per: ``"episode"``, as the paper says, or ``"epoch"``.
        batch_size: transitions a gradient step.
    """

    epochs: int = 25
    episodes: int = 5
    updates: int = 100
    updates_per: Literal["episode", "epoch"] = "episode"
    batch_size: int = 32

    def __post_init__(self) -> None:
        if min(self.epochs, self.updates) < 0 or min(self.episodes, self.batch_size) < 1:
            raise InvalidSpecError(
                "A training plan needs epochs and updates of at least 0, and episodes and a batch "
                f"size of at least 1; this one is {self}."
            )
        if self.updates_per not in ("episode", "epoch"):
            raise InvalidSpecError(
                f"Unknown updates_per {self.updates_per!r}; choose episode or epoch."
            )

    @property
    def total_updates(self) -> int:
        """Gradient steps of the whole plan."""
        per_epoch = self.episodes if self.updates_per == "episode" else 1
        return self.epochs * per_epoch * self.updates


def warm_start(agent: FedRALDQN, environment: Environment, episodes: int) -> list[Episode]:
    """Store episodes of uniformly random actions; no updates, not counted as training episodes."""
    return [
        _play(agent, environment, lambda _: agent.random_action(), store=True)
        for _ in range(episodes)
    ]


def random_episodes(
    environment: Environment, episodes: int, rng: np.random.Generator
) -> list[Episode]:
    """Run episodes of uniformly random actions; nothing learns from them."""
    actions = environment.action_space.n  # type: ignore[attr-defined]  # a Discrete space
    return [
        play(environment, lambda _: int(rng.integers(actions)), int(rng.integers(2**31)))
        for _ in range(episodes)
    ]


def train(agent: FedRALDQN, environment: Environment, plan: TrainingPlan) -> list[Episode]:
    """Train an agent epsilon-greedily and return its training episodes.

    The agent's ``epsilon`` is read at its own count of training episodes, so a plan may be run in
    several calls, with the agent's state saved and loaded between them.
    """
    history = []
    for _ in range(plan.epochs):
        for _ in range(plan.episodes):
            history.append(_play(agent, environment, agent.act, store=True))
            agent.finish_episode()
            if plan.updates_per == "episode":
                agent.train(plan.updates, plan.batch_size)
        if plan.updates_per == "epoch":
            agent.train(plan.updates, plan.batch_size)
    return history


def greedy_episode(agent: FedRALDQN, environment: Environment) -> Episode:
    """Run one episode of greedy actions; nothing is stored or learned."""
    return _play(agent, environment, lambda seen: agent.act(seen, greedy=True), store=False)


def store_transition(
    agent: FedRALDQN,
    before: Observation,
    action: int,
    reward: float,
    after: Observation,
    *,
    terminated: bool,
    truncated: bool = False,
) -> None:
    """Put one transition into the agent's replay buffer.

    The value of the state after a truncated step is still bootstrapped: the episode was cut off
    there, it did not end.
    """
    assert agent.replay_buffer is not None
    agent.replay_buffer.add(
        before[None],
        after[None],
        np.array([action]),
        np.array([reward], dtype=np.float32),
        np.array([terminated or truncated]),
        [{"TimeLimit.truncated": truncated and not terminated}],
    )


def _play(
    agent: FedRALDQN,
    environment: Environment,
    choose: Callable[[Observation], int],
    *,
    store: bool,
) -> Episode:
    """Run one episode, seeded from the agent's stream: a resumed agent sees the same episode."""
    seed = int(agent.exploration_rng.integers(2**31))
    return play(environment, choose, seed, partial(store_transition, agent) if store else None)


def play(
    environment: Environment,
    choose: Callable[[Observation], int],
    seed: int,
    keep: Callable[..., None] | None = None,
) -> Episode:
    """Run one episode.

    Args:
        environment: the environment.
        choose: returns the action for an observation.
        seed: seeds the environment.
        keep: takes each transition, as ``store_transition`` does after the agent.
    """
    observation, info = environment.reset(seed=seed)
    actions: list[int] = []
    rewards: list[float] = []
    infos = [info]
    terminated = truncated = False
    while not (terminated or truncated):
        action = choose(observation)
        after, gained, terminated, truncated, info = environment.step(action)
        reward = float(gained)
        if keep is not None:
            keep(observation, action, reward, after, terminated=terminated, truncated=truncated)
        observation = after
        actions.append(action)
        rewards.append(reward)
        infos.append(info)
    return Episode(tuple(actions), tuple(rewards), tuple(infos), terminated)
