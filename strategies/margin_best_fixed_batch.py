"""FedRAL's third control: the best single batch size, found on the agent share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.arrays import IntArray
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.strategy import ClientView, Params, Strategy
from fal_bench.strategies.fedral.params import FedRALParams
from fal_bench.strategies.fedral.simulation import Simulation, check_reward_set
from fal_bench.task import Task


class MarginBestFixedBatchParams(Params):
    """Parameters of ``margin-best-fixed-batch``.

    Attributes:
        episodes: simulated episodes a size.
        reward_labels: held-out labels on which precision is measured; as FedRAL's if None.
        episode_share: labels an episode may read, as a share of its samples.
        max_steps: steps that cut an episode.
    """

    episodes: Annotated[int, Field(ge=1)] = 1
    reward_labels: Annotated[int, Field(ge=1)] | None = None
    episode_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    max_steps: Annotated[int, Field(ge=1)] = 10


class MarginBestFixedBatch(Strategy):
    """Smallest margins, always as many as did best in simulation.

    A control for FedRAL (Lazaridis et al.): it reads the same agent share, runs the same episodes
    with one size each, keeps the size that needs the fewest labels to a target precision (the
    smaller of two equals), and learns nothing else. The target is the median of the precisions at
    which the sizes end. Version 1 kept the size of the highest precision at the end, which was
    nearly always the whole query. The labels are charged as FedRAL's are.

    Cost: a few simulated episodes a size before the first query. Fails as FedRAL does under strict
    accounting.
    """

    name: ClassVar[str] = "margin-best-fixed-batch"
    version: ClassVar[int | None] = 2
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "control for FedRAL"
    adaptive: ClassVar[bool] = True
    Params: ClassVar[type[Params]] = MarginBestFixedBatchParams

    def check_task(self, task: Task) -> None:
        """Check that the task gives clients an agent share and a state share."""
        if not task.shares.agent or not task.shares.state:
            raise InvalidSpecError(
                f"Strategy 'margin-best-fixed-batch' needs the shares agent and state on task "
                f"{task.name!r}; give them, as in shares = {{ state = 0.1, agent = 0.7, "
                "pool = 0.2 }."
            )

    def check_shares(self, task: Task, sizes: Mapping[str, int]) -> None:  # noqa: ARG002
        """Check that the reward set leaves something of the agent share."""
        check_reward_set(self.name, self._simulated(), sizes)

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Pick the smallest margins, as many as the best size says."""
        if "size" not in client.memory:
            client.memory["size"] = self._best_size(client)
        margins = top_two_margin(client.probs(client.global_model))
        return smallest(margins, min(client.memory["size"], budget))

    def _best_size(self, client: ClientView) -> int:
        simulation = Simulation(client, self._simulated())
        environment = simulation.training(target=None)
        sizes: tuple[int, ...] = environment.actions.sizes
        seeds = client.rng.integers(2**31, size=self.params.episodes).tolist()
        ends = [
            _play(environment, action, seed)[1] for action in range(len(sizes)) for seed in seeds
        ]
        environment = simulation.training(float(np.median(ends)) or None)
        returns = [
            sum(_play(environment, action, seed)[0] for seed in seeds)
            for action in range(len(sizes))
        ]
        return sizes[returns.index(max(returns))]

    def _simulated(self) -> FedRALParams:
        return FedRALParams(
            reward="cost",
            reward_labels=self.params.reward_labels,
            episode_share=self.params.episode_share,
            max_steps=self.params.max_steps,
        )


def _play(environment: object, action: int, seed: int) -> tuple[float, float]:
    """Run one episode of a single action; return its return and the precision at its end."""
    from fal_bench.environments import FedRALBatchEnv

    assert isinstance(environment, FedRALBatchEnv)
    environment.reset(seed=seed)
    over, value = False, 0.0
    while not over:
        _, gained, terminated, truncated, info = environment.step(action)  # type: ignore[arg-type]
        over, value = terminated or truncated, value + gained
    precision: float = info["precision"]
    return value, precision
