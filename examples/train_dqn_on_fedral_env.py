"""Train stable-baselines3's own DQN to choose annotation batches on the digits; half a minute.

Run ``python examples/train_dqn_on_fedral_env.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import gymnasium
import numpy as np
import torch
from stable_baselines3 import DQN

import fal_bench.environments  # registers falbench/FedRALBatch-v0

EPISODES = 20


def evaluate(name: str, env: gymnasium.Env, choose: Callable[[np.ndarray], int]) -> None:
    """Run the same episodes for every policy; print where they end and which sizes they use."""
    precision, labels, sizes = [], [], Counter()
    for seed in range(EPISODES):
        observation, info = env.reset(seed=10_000 + seed)
        over = False
        while not over:
            observation, _, terminated, truncated, info = env.step(choose(observation))
            sizes[info["batch_size"]] += 1
            over = terminated or truncated
        precision.append(info["precision"])
        labels.append(info["labels"])
    used = ", ".join(f"{size} x{count}" for size, count in sorted(sizes.items()))
    print(f"{name:<14} precision {np.mean(precision):.3f}  labels {np.mean(labels):6.1f}  {used}")


def main() -> None:
    """Train, then compare with choosing at random and with one fixed size."""
    torch.set_num_threads(1)
    env = gymnasium.make(fal_bench.environments.ENVIRONMENT_ID, reward="delta_cost")
    model = DQN(
        "MlpPolicy",
        env,
        gamma=1.0,
        learning_rate=1e-3,
        learning_starts=200,
        train_freq=1,
        gradient_steps=3,
        tau=0.01,
        target_update_interval=1,
        exploration_fraction=0.5,
        seed=0,
        device="cpu",
    )
    model.learn(3000)
    rng = np.random.default_rng(0)
    sizes = env.unwrapped.actions.sizes
    evaluate("trained DQN", env, lambda seen: int(model.predict(seen, deterministic=True)[0]))
    evaluate("random size", env, lambda _: int(rng.integers(len(sizes))))
    for action in (0, len(sizes) // 2, len(sizes) - 1):
        evaluate(f"always {sizes[action]}", env, lambda _, action=action: action)


if __name__ == "__main__":
    main()
