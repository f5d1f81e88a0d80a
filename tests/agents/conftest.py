"""Shared by the agents' tests: a tiny environment, agents, and the global random streams."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from fal_bench.environments.agents.dqn import FedRALDQN


class Corridor(gymnasium.Env[Any, Any]):
    """Walk right from 0 to 4; action 1 steps right, action 0 stays; cut after 6 steps."""

    observation_space = spaces.Box(0.0, 1.0, (3,), np.float32)

    def __init__(self) -> None:
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place, self.steps, self.noise = 0, 0, self.np_random.random()
        return self._seen(), {"place": 0}

    def step(self, action: Any) -> Any:
        self.place += int(action)
        self.steps += 1
        over = self.place == 4
        return self._seen(), float(over), over, self.steps == 6 and not over, {"place": self.place}

    def _seen(self) -> Any:
        return np.array([self.place / 4, self.steps / 6, self.noise], dtype=np.float32)


@pytest.fixture
def corridor() -> Corridor:
    return Corridor()


@pytest.fixture
def make_agent(corridor: Corridor) -> Callable[..., FedRALDQN]:
    def make(stream: int = 0, **options: Any) -> FedRALDQN:
        options = {"policy_kwargs": {"net_arch": [16]}, **options}
        return FedRALDQN("MlpPolicy", corridor, rng=np.random.default_rng(stream), **options)

    return make
