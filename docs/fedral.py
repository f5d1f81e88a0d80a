"""Does FedRAL's agent learn? ``python docs/fedral.py`` writes the table of fedral-environment.md.

Eight clients hold eight splits of the digits of scikit-learn. For each client and each of three
seeds an agent is trained in the environment and compared, on episodes that it was not trained on,
with random sizes, with every constant size, and with the constant that is best on a third set of
episodes. An interval is a 95 % t interval over clients of means over seeds.
"""

from __future__ import annotations

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
from fal_bench.environments.episode_data import digits_episode

PAGE = Path(__file__).parent / "fedral-environment.md"
BEGIN, END = "<!-- learning: begin -->\n", "<!-- learning: end -->"
CLIENTS, SEEDS, EPISODES = 8, 3, 5
BLOCKS, BLOCK = 5, TrainingPlan(epochs=5, episodes=5, updates=20)
REWARDS = ("delta", "cost")
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
    PAGE.write_text(before + BEGIN + "".join(map(section, REWARDS)) + END + after)


def section(reward: str) -> str:
    """Return the table of one reward."""
    measured = [
        [measure(reward, client, seed) for seed in range(SEEDS)] for client in range(CLIENTS)
    ]
    rows = [
        f"\n`reward={reward}` (largest absolute value in training: "
        f"{max(one['largest'] for own in measured for one in own):.2f}):\n\n",
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


def measure(reward: str, client: int, seed: int) -> dict[str, Any]:
    """Train an agent, and judge it and the constants."""
    data, labels = digits_episode(client)
    env = FedRALBatchEnv(data, labels, reward=reward)
    agent = FedRALDQN("MlpPolicy", env, rng=np.random.default_rng([client, seed]))
    warm = FedRALBatchEnv(data, labels, options=EpisodeOptions(reward=reward).warm_start())
    warm_start(agent, warm, 5)
    agent.train(BLOCK.updates)
    policies = {}
    for block in range(1, BLOCKS + 1):
        train(agent, env, BLOCK)
        episodes = block * BLOCK.epochs * BLOCK.episodes
        policies[f"agent after {episodes} episodes"] = judge(
            env, lambda seen: agent.act(seen, greedy=True), seed
        )
    rng, sizes = np.random.default_rng([client, seed, 1]), env.actions.sizes
    policies["random sizes"] = judge(env, lambda _: int(rng.integers(len(sizes))), seed)
    actions = range(len(sizes))
    chosen = [judge(env, lambda _, a=a: a, seed, CHOOSING).value for a in actions]
    best = int(np.argmax(chosen))
    policies["best constant"] = judge(env, lambda _: best, seed)
    for action in actions:
        policies[f"always {sizes[action]}"] = judge(env, lambda _, a=action: a, seed)
    print(reward, client, seed, policies[TRAINED], policies["best constant"], file=sys.stderr)
    return {"policies": policies, "largest": max(agent.largest_values)}


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
