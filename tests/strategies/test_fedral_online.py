"""Which action earns which reward, with precisions given by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from fal_bench.strategies.fedral.online import OnlineLearning
from fal_bench.strategies.fedral.params import FedRALParams


def observation(cycle):
    return np.full(4, cycle / 10, dtype=np.float32)


class Agent:
    """Records transitions instead of learning from them."""

    def __init__(self, stored):
        self.stored = stored
        self.dqn = self
        self.replay_buffer = self

    def add(self, before, after, action, reward, done, infos):
        self.stored.append((before[0, 0], int(action[0]), float(reward[0]), after[0, 0]))
        assert not done[0]

    def size(self):
        return len(self.stored)

    def train(self, updates):
        self.trained = updates

    def finish_episode(self):
        pass


@pytest.mark.parametrize("reward_labels", [None, 7])
def test_an_action_earns_what_the_precision_gains_in_its_own_step(monkeypatch, reward_labels):
    precision = {0: 0.1, 1: 0.3, 2: 0.2, 3: 0.6, 4: 0.7}
    stored, memory = [], {}
    params = FedRALParams(mode="online", reward_labels=reward_labels, quantiles=4)
    for cycle in range(5):
        client = SimpleNamespace(
            memory=memory,
            rng=np.random.default_rng(0),
            unlabelled=np.arange(20),
            labelled=np.arange(5),
            global_model=None,
            probs=lambda model: np.eye(20),
        )
        learning = OnlineLearning(client, params, Agent(stored))
        # Without a reward set, a cycle's precision is known one cycle later.
        known = cycle if reward_labels else cycle - 1
        monkeypatch.setattr(learning, "_newest_precision", lambda known=known: precision.get(known))
        learning.learn(observation(cycle))
        learning.remember(observation(cycle), action=cycle, chosen=np.array([0]))
    expected = [
        (0.0, 0, 0.2, 0.1),
        (0.1, 1, -0.1, 0.2),
        (0.2, 2, 0.4, 0.3),
        (0.3, 3, 0.1, 0.4),
    ]
    if not reward_labels:
        expected.pop()  # P_4 is known in cycle 5 only
    np.testing.assert_allclose(stored, expected, atol=1e-6)
