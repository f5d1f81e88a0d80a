"""The data behind ``gymnasium.make`` without arguments: one client that holds all digits."""

from __future__ import annotations

import numpy as np

from fal_bench.data.shares import split_shares
from fal_bench.datasets.digits import load_digits
from fal_bench.environments.episode_data import EpisodeData, Samples, hold_out
from fal_bench.environments.labels import CountingLabels
from fal_bench.task import Shares

REWARD_SHARE = 0.1
"""Share of the client's data that is held out of the agent share to measure precision."""


def digits_episode(seed: int = 0) -> tuple[EpisodeData, CountingLabels]:
    """Split the training digits 10/10/60/20 and return what agent-training episodes run on.

    The pool is the agent share less the reward set; features are the 64 pixels. Labels of the
    state share cannot be read, and the test digits take no part.

    Args:
        seed: seed of the split.
    """
    dataset = load_digits()
    rng = np.random.default_rng(seed)
    ids = np.arange(dataset.n_train)
    shares = split_shares(ids, Shares(state=0.1, warm_start=0.1, agent=0.6, pool=0.2), rng)
    pixels = dataset.train_features.numpy().reshape(dataset.n_train, -1)
    labels = dataset.train_labels.numpy()
    agent = Samples(shares.agent, pixels[shares.agent])
    pool, reward = hold_out(agent, round(REWARD_SHARE * dataset.n_train), rng)
    state = Samples(shares.state, pixels[shares.state])
    data = EpisodeData(pool, state, reward, dataset.n_classes)
    return data, CountingLabels(agent.ids, labels[agent.ids])
