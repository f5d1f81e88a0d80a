"""Does FedRAL's agent learn? ``python docs/fedral.py`` writes the tables of fedral-environment.md.

Eight clients hold eight splits of the digits of scikit-learn. For each client and each of three
seeds an agent, a DQN or PPO, is trained in the environment and compared, on episodes that it was
not trained on, with random sizes, with every constant size, and with the constant that is best on
a third set of episodes. An interval is a 95 % t interval over clients of means over seeds.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from fal_bench.arrays import FloatArray
from fal_bench.environments import EpisodeOptions, FedRALBatchEnv
from fal_bench.environments.agents.dqn import FedRALDQN
from fal_bench.environments.agents.episodes import TrainingPlan, train, warm_start
from fal_bench.environments.agents.on_policy import Rollouts, learn
from fal_bench.environments.agents.policy import GreedyPolicy
from fal_bench.environments.episode_data import digits_episode

PAGE = Path(__file__).parent / "fedral-environment.md"
BEGIN, END = "<!-- learning: begin -->\n", "<!-- learning: end -->"
CLIENTS, SEEDS, EPISODES = 8, 3, 5
BLOCKS, BLOCK = 5, TrainingPlan(epochs=5, episodes=5, updates=20)
REWARDS, AGENTS = ("delta", "cost"), ("dqn", "ppo")
CHOOSING, JUDGING = 10_000, 20_000
"""Where the seeds of the episodes begin that choose the best constant, and that judge."""

Choose = Callable[[FloatArray], int]


@dataclass(frozen=True)
class Outcome:
    """What a policy got: the mean return, labels, and batch size of its episodes."""

    value: float
    labels: float
    size: float


def main() -> None:
    """Measure, and write the table into the page."""
    torch.set_num_threads(1)
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    tables = itertools.starmap(section, itertools.product(AGENTS, REWARDS))
    PAGE.write_text(before + BEGIN + "".join(tables) + END + after)


def section(agent: str, reward: str) -> str:
    """Return the table of one agent and reward."""
    measured = [
        [measure(agent, reward, client, seed) for seed in range(SEEDS)] for client in range(CLIENTS)
    ]
    largest = max(one["largest"] for own in measured for one in own)
    said = f" (largest absolute value in training: {largest:.2f})" if agent == "dqn" else ""
    rows = [
        f"\n`agent={agent}`, `reward={reward}`{said}:\n\n",
        "| policy | return | trained agent's lead | labels | mean size |\n|---|---|---|---|---|\n",
    ]
    for name in measured[0][0]["policies"]:
        found = [[one["policies"][name] for one in own] for own in measured]
        values, labels, sizes = (
            np.array([[getattr(one, key) for one in own] for own in found]).mean(axis=1)
            for key in ("value", "labels", "size")
        )
        trained = np.array(
            [np.mean([one["policies"][TRAINED].value for one in own]) for own in measured]
        )
        lead = "" if name == TRAINED else interval(trained - values)
        rows.append(
            f"| {name} | {values.mean():.3f} | {lead} | {labels.mean():.0f} "
            f"| {sizes.mean():.1f} |\n"
        )
    return "".join(rows)


TRAINED = "agent after 125 episodes"


def measure(agent: str, reward: str, client: int, seed: int) -> dict[str, Any]:
    """Train an agent, and judge it and the constants."""
    data, labels = digits_episode(client)
    env = FedRALBatchEnv(data, labels, reward=reward)
    rng, largest = np.random.default_rng([client, seed]), 0.0
    if agent == "dqn":
        warm = FedRALBatchEnv(data, labels, options=EpisodeOptions(reward=reward).warm_start())
        policies, largest = dqn(env, warm, rng, seed)
    else:
        policies = {TRAINED: judge(env, ppo(env, rng).act, seed)}
    rng, sizes = np.random.default_rng([client, seed, 1]), env.actions.sizes
    policies["random sizes"] = judge(env, lambda _: int(rng.integers(len(sizes))), seed)
    actions = range(len(sizes))
    chosen = [judge(env, lambda _, a=a: a, seed, CHOOSING).value for a in actions]
    best = int(np.argmax(chosen))
    policies["best constant"] = judge(env, lambda _: best, seed)
    for action in actions:
        policies[f"always {sizes[action]}"] = judge(env, lambda _, a=action: a, seed)
    print(
        agent, reward, client, seed, policies[TRAINED], policies["best constant"], file=sys.stderr
    )
    return {"policies": policies, "largest": largest}


def dqn(
    env: FedRALBatchEnv, warm: FedRALBatchEnv, rng: np.random.Generator, seed: int
) -> tuple[dict[str, Outcome], float]:
    """Train a DQN as FedRAL does; return what it got on the way, and its largest value."""
    agent = FedRALDQN("MlpPolicy", env, rng=rng)
    warm_start(agent, warm, 5)
    agent.train(BLOCK.updates)
    policies = {}
    for block in range(1, BLOCKS + 1):
        train(agent, env, BLOCK)
        episodes = block * BLOCK.epochs * BLOCK.episodes
        policies[f"agent after {episodes} episodes"] = judge(
            env, lambda seen: agent.act(seen, greedy=True), seed
        )
    return policies, max(agent.largest_values)


def ppo(env: FedRALBatchEnv, rng: np.random.Generator) -> GreedyPolicy:
    """Train a PPO agent on as many steps as the DQN's episodes may have."""
    steps = BLOCK.episodes * env.options.max_steps
    rollouts = Rollouts(BLOCKS * BLOCK.epochs, steps)
    return learn("ppo", env, rollouts, rng, learning_rate=1e-3, gamma=1.0)


def judge(env: FedRALBatchEnv, choose: Choose, seed: int, first: int = JUDGING) -> Outcome:
    """Run a policy on fixed episodes."""
    values, labels, sizes = [], [], []
    for episode in range(EPISODES):
        observation, info = env.reset(seed=first + EPISODES * seed + episode)
        value, over = 0.0, False
        while not over:
            observation, gained, terminated, truncated, info = env.step(
                np.int64(choose(observation))
            )
            value, over = value + gained, terminated or truncated
            sizes.append(info["batch_size"])
        values.append(value)
        labels.append(info["labels"])
    return Outcome(*(float(np.mean(one)) for one in (values, labels, sizes)))


def interval(differences: FloatArray) -> str:
    """Return the mean with its 95 % t interval."""
    mean, error = differences.mean(), stats.sem(differences)
    half = error * stats.t.ppf(0.975, len(differences) - 1)
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


if __name__ == "__main__":
    main()
