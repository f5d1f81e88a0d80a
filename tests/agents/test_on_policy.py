"""PPO and A2C on a problem whose best action is known."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from fal_bench.environments.agents.on_policy import Rollouts, learn
from fal_bench.errors import InvalidSpecError


class Lever(gymnasium.Env):
    """One lever of four pays, which one the observation says; an episode has eight steps."""

    observation_space = spaces.Box(0.0, 1.0, (4,), np.float32)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 8
        return self._show(), {}

    def step(self, action):
        paid = float(action == self.lever)
        self.left -= 1
        return self._show(), paid, self.left == 0, False, {}

    def _show(self):
        self.lever = int(self.np_random.integers(4))
        return np.eye(4, dtype=np.float32)[self.lever]


def trained(algorithm, epochs, steps, rate, seed=0):
    rng = np.random.default_rng(seed)
    rollouts = Rollouts(epochs, steps)
    return learn(algorithm, Lever(), rollouts, rng, learning_rate=rate, gamma=0.5)


@pytest.mark.parametrize(("algorithm", "length"), [("ppo", (12, 64)), ("a2c", (250, 8))])
def test_it_learns_what_pays(algorithm, length):
    policy = trained(algorithm, *length, rate=5e-3)
    assert [policy.act(row) for row in np.eye(4, dtype=np.float32)] == [0, 1, 2, 3]


def test_its_own_stream_decides_everything():
    arrays = [trained("ppo", 2, 16, 1e-3, seed).to_arrays() for seed in (0, 0, 1)]
    first, again, other = (np.concatenate([np.ravel(x) for y in one for x in y]) for one in arrays)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_step_is_too_few():
    with pytest.raises(InvalidSpecError, match="steps"):
        Rollouts(3, 1)
