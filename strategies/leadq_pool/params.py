"""LeaDQ's parameters: the paper's values, where a pool leaves them a meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fal_bench.plugins.strategy import Params

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class LeaDQParams(Params):
    """Parameters of ``leadq-pool``.

    Attributes:
        arrivals: samples in a sub-pool, of which one is queried.
        reward_labels: labels a client buys to measure the reward on. If None, the clients share
            the paper's 1000, but a client gives no more than a tenth of its unlabelled samples.
        mixer: how the clients' values make one: ``"trained"``, a monotonic network (QMIX; the
            paper); ``"frozen"``, the same network as it was initialised (the released code);
            ``"sum"``, their sum (value decomposition networks).
        epsilon: probability of a random choice once the network chooses.
        hidden: units in each of the two hidden layers of the Q-network.
        mixer_hidden: units in the mixing network's hidden layer.
        gamma: discount of a query to the next.
        lr: Adam's learning rate.
        batch_size: transitions a gradient step; also how many must be stored before the network
            is trained and asked.
        updates: gradient steps a cycle.
        target_interval: gradient steps after which the target networks are replaced.
        replay: transitions kept.
        double: Double DQN targets.
    """

    arrivals: Annotated[int, Field(ge=2)] = 10
    reward_labels: Positive | None = None
    mixer: Literal["trained", "frozen", "sum"] = "trained"
    epsilon: Share = 0.0
    hidden: Positive = 64
    mixer_hidden: Positive = 32
    gamma: Share = 0.99
    lr: Annotated[float, Field(gt=0)] = 0.01
    batch_size: Positive = 32
    updates: Positive = 100
    target_interval: Positive = 200
    replay: Positive = 1000
    double: bool = True
