"""A client's simulated annotation problem, built from what the client may know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import IntArray
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.strategy import ClientView
from fal_bench.strategies.fedral.params import FedRALParams

if TYPE_CHECKING:
    from fal_bench.environments import EpisodeData, EpisodeOptions, Fit, Samples

FINETUNE_EPOCHS = 20


def size_grid_for(params: FedRALParams, pool: int) -> tuple[int, ...]:
    """Return the size grid of a client whose query pool held ``pool`` samples at first."""
    from fal_bench.environments.steps import default_sizes, size_grid

    if params.largest_batch is not None:
        return size_grid(params.largest_batch)
    return default_sizes(pool)


def reward_count(params: FedRALParams, own: int) -> int:
    """Return the size of the reward set of a client with ``own`` samples."""
    return min(1000, max(own // 10, 1)) if params.reward_labels is None else params.reward_labels


def check_reward_set(strategy: str, params: FedRALParams, sizes: Mapping[str, int]) -> None:
    """Check that the reward set leaves two samples of the agent share, the least of an episode.

    Args:
        strategy: its name, for the message.
        params: FedRAL's parameters.
        sizes: what ``Strategy.check_shares`` gets: the samples of each share, and other sizes.

    Raises:
        InvalidSpecError: it does not.
    """
    own = sum(sizes[share] for share in ("state", "warm_start", "agent", "pool"))
    wanted, agent = reward_count(params, own), sizes["agent"]
    if wanted > agent - 2:
        raise InvalidSpecError(
            f"Strategy {strategy!r}: a reward set of {wanted} labels leaves fewer than 2 samples "
            f"of an agent share of {agent}; lower reward_labels or enlarge the share."
        )


@dataclass(frozen=True)
class Simulation:
    """Builds the environments of one client in one cycle.

    Labels are read through ``client.buy`` and charged; the state share's labels and test data are
    out of reach.

    Attributes:
        client: what the client may know.
        params: FedRAL's parameters.
    """

    client: ClientView
    params: FedRALParams

    def warm_start(self) -> Any:
        """Return the environment of warm-start episodes, on the warm-start share."""
        pool = self._samples(self.client.share("warm_start"))
        options = self._options(len(pool)).warm_start()
        return self._environment(self._data(pool), options)

    def training(self, target: float | None) -> Any:
        """Return the environment of agent episodes, on the agent share without the reward set.

        Args:
            target: precision that ends an episode.
        """
        reward_ids = self.reward_ids()
        rest = np.setdiff1d(self.client.share("agent"), reward_ids)
        pool = self._samples(rest)
        options = self._options(len(pool)).changed(target_precision=target)
        return self._environment(self._data(pool), options)

    def reward_ids(self) -> IntArray:
        """Return the reward set: drawn once from the agent share, then the same in all cycles."""
        if "reward_ids" not in self.client.memory:
            from fal_bench.environments import hold_out

            _, held_out = hold_out(self._bare(), self._reward_count(), self.client.rng)
            self.client.memory["reward_ids"] = held_out.ids
        ids: IntArray = self.client.memory["reward_ids"]
        return ids

    def precision(self) -> float:
        """Return the global model's weighted precision on the reward set, which is charged."""
        from fal_bench.metrics.classification import weighted_precision

        ids = self.reward_ids()
        labels = self.client.buy(ids, "reward")
        predicted = self.client.probs(self.client.global_model, ids).argmax(axis=1)
        return weighted_precision(predicted, labels, self.client.n_classes)

    def return_range(self) -> tuple[float, float]:
        """Return the least and the largest return of the client's episodes."""
        from fal_bench.environments import EpisodeOptions
        from fal_bench.environments.steps import return_range

        options = EpisodeOptions.of({"reward": self.params.reward, "cost": self.params.cost})
        own = len(self.client.unlabelled) + len(self.client.labelled)
        return return_range(options, max(len(self.client.share("agent")), own))

    def sizes(self) -> tuple[int, ...]:
        """Return the size grid, the same in simulation and in the federation.

        It goes up to a twentieth of the client's query pool, initial labels included, so it does
        not change as the pool empties.
        """
        return size_grid_for(self.params, len(self.client.unlabelled) + len(self.client.labelled))

    def _options(self, pool_size: int) -> EpisodeOptions:
        from fal_bench.environments import EpisodeOptions

        seeds = min(len(self.client.labelled), max(pool_size // 4, 1))
        return EpisodeOptions.of(
            {
                "quantiles": self.params.quantiles,
                "state_source": self.params.state_source,
                "action": self.params.action,
                "sizes": self.sizes(),
                "rank": self.params.rank,
                "reward": self.params.reward,
                "cost": self.params.cost,
                "seed_labels": seeds,
                "budget": min(
                    max(round(self.params.episode_share * pool_size), seeds + 1), pool_size
                ),
                "max_steps": self.params.length("max_steps"),
            }
        )

    def _environment(self, data: EpisodeData, options: EpisodeOptions) -> Any:
        from fal_bench.environments import FedRALBatchEnv

        return FedRALBatchEnv(data, self.client.buy, fit=self._fit(), options=options)

    def _data(self, pool: Samples) -> EpisodeData:
        from fal_bench.environments import EpisodeData

        # Where the pool shows the state, one sample stands in for the state share: an episode's
        # data must not be empty, and the environment does not look at it then.
        state = self.client.share("state")
        if self.params.state_source == "pool" or not len(state):
            state = np.concatenate([self.client.unlabelled, self.client.labelled])[:1]
        return EpisodeData(
            pool=pool,
            state=self._samples(state),
            reward=self._samples(self.reward_ids()),
            n_classes=self.client.n_classes,
        )

    def _samples(self, ids: IntArray) -> Samples:
        from fal_bench.environments import Samples

        model = self.client.global_model
        if self.params.classifier == "finetune":
            features: NDArray[Any] = self.client.inputs(ids)
        else:
            features = self.client.embeddings(model, ids)
        return Samples(ids, features)

    def _bare(self) -> Samples:
        from fal_bench.environments import Samples

        ids = self.client.share("agent")
        return Samples(ids, np.empty((len(ids), 0), dtype=np.float32))

    def _reward_count(self) -> int:
        own = sum(len(self.client.share(name)) for name in ("state", "warm_start", "agent"))
        own += len(self.client.unlabelled) + len(self.client.labelled)
        return reward_count(self.params, own)

    def _fit(self) -> Fit:
        from fal_bench.environments import RidgeFit, SoftmaxFit

        if self.params.classifier == "ridge":
            return RidgeFit()
        module = self.client.global_model.module()
        if self.params.classifier == "finetune":
            from fal_bench.environments.finetune import Finetune

            return Finetune(module, epochs=FINETUNE_EPOCHS)
        head = module.head
        return SoftmaxFit(head.weight.detach().numpy().T, head.bias.detach().numpy())
