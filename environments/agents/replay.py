"""Prioritised experience replay for one environment.

Schaul et al., "Prioritized Experience Replay", ICLR 2016. Transition i is drawn with probability
proportional to (|TD error i| + epsilon) ** exponent. FedRAL sets the exponent to 3, where Schaul
et al. stay below 1; a minibatch is therefore drawn without replacement, as in the learning of
active learning strategies that FedRAL builds on (Konyushkova et al., 2018, arXiv:1809.04114),
or it would be a few transitions many times over.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize

from fal_bench.errors import InvalidSpecError

EPSILON = 1e-6
"""Added to every absolute TD error, so that no transition is out of reach."""


class PrioritizedSamples(NamedTuple):
    """A minibatch of B transitions; as in stable-baselines3, with two fields more.

    Attributes:
        observations: shape (B, *observation).
        actions: shape (B, 1).
        next_observations: shape (B, *observation).
        dones: 1 where the episode terminated (not where it was cut by a time limit), shape (B, 1).
        rewards: shape (B, 1).
        discounts: None; the agent's own discount applies.
        weights: importance weights divided by their maximum, shape (B, 1); None at ``beta=0``.
        indices: the slots in the buffer, shape (B,).
    """

    observations: torch.Tensor
    actions: torch.Tensor
    next_observations: torch.Tensor
    dones: torch.Tensor
    rewards: torch.Tensor
    discounts: torch.Tensor | None
    weights: torch.Tensor | None
    indices: NDArray[np.intp]


class PrioritizedReplayBuffer(ReplayBuffer):
    """stable-baselines3's replay buffer with prioritised sampling from its own random stream.

    A new transition gets the largest priority that is stored, so that it is soon tried.

    Args:
        buffer_size: transitions kept; the oldest is overwritten.
        observation_space: the environment's observation space.
        action_space: the environment's action space.
        device: where minibatches are put.
        n_envs: must be 1.
        optimize_memory_usage: must be False.
        exponent: strength of the prioritisation; 0 samples uniformly.
        beta: exponent of the importance weights, may be changed during training; 0 leaves the
            sampling bias uncorrected, 1 corrects it in full.
        rng: the stream of the draws.

    Raises:
        InvalidSpecError: a parameter is out of range.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        *,
        exponent: float = 3.0,
        beta: float = 0.0,
        rng: np.random.Generator,
    ) -> None:
        if n_envs != 1 or optimize_memory_usage:
            raise InvalidSpecError(
                "Prioritised replay takes one environment and optimize_memory_usage=False."
            )
        if buffer_size < 1 or not 0 <= exponent <= 20 or not 0 <= beta <= 1:
            raise InvalidSpecError(
                "Prioritised replay needs a size of at least 1, an exponent between 0 and 20 and "
                f"a beta between 0 and 1, not {buffer_size}, {exponent} and {beta}."
            )
        super().__init__(buffer_size, observation_space, action_space, device)
        self.exponent = exponent
        self.beta = beta
        self.rng = rng
        # The reciprocals of (|TD error| + EPSILON) ** exponent: what a draw needs, ready made.
        self.inverse_priorities = np.ones(self.buffer_size)

    def add(
        self,
        obs: NDArray[Any],
        next_obs: NDArray[Any],
        action: NDArray[Any],
        reward: NDArray[Any],
        done: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Store one transition; arrays have a leading axis of length 1 (one environment)."""
        filled = self.inverse_priorities[: self.size()]
        self.inverse_priorities[self.pos] = filled.min() if filled.size else 1.0
        super().add(obs, next_obs, action, reward, done, infos)

    def sample(  # type: ignore[override]  # the batch has two fields more
        self, batch_size: int, env: VecNormalize | None = None
    ) -> PrioritizedSamples:
        """Draw transitions by priority, without replacement.

        Args:
            batch_size: transitions to draw; a buffer that holds fewer gives each of its own once.
            env: normalises observations and rewards, or None.

        Raises:
            InvalidSpecError: the buffer is empty.
        """
        if not self.size():
            raise InvalidSpecError("The replay buffer is empty; run an episode before training.")
        # Exponential races (Efraimidis and Spirakis, 2006): the smallest E_i / p_i are a draw
        # without replacement with probabilities p_i, at a fraction of Generator.choice's time.
        race = self.rng.standard_exponential(self.size()) * self.inverse_priorities[: self.size()]
        indices = np.arange(race.size)
        if batch_size < race.size:
            indices = np.argpartition(race, batch_size)[:batch_size]
        indices = indices[np.argsort(race[indices], kind="stable")]
        return self._batch(indices, env)

    def update_priorities(self, indices: NDArray[np.intp], td_errors: NDArray[Any]) -> None:
        """Set the priorities of the slots ``indices`` from their new TD errors, both (B,)."""
        magnitudes = np.abs(td_errors, dtype=np.float64) + EPSILON
        self.inverse_priorities[indices] = magnitudes**-self.exponent

    def _weights(self, indices: NDArray[np.intp]) -> torch.Tensor | None:
        """Return (n p_i) ** -beta over its maximum in the batch; n and the norm of p cancel."""
        if self.beta == 0:
            return None
        inverse = self.inverse_priorities[indices]
        weights = (inverse / inverse.max()) ** self.beta
        return self._tensor(weights.astype(np.float32)[:, None])

    def _batch(self, indices: NDArray[np.intp], env: VecNormalize | None) -> PrioritizedSamples:
        """Collect the slots ``indices``; indexing copies, so the tensors share no memory."""
        dones = self.dones[indices] * (1 - self.timeouts[indices])
        return PrioritizedSamples(
            observations=self._tensor(self._normalize_obs(self.observations[indices, 0], env)),
            actions=self._tensor(self.actions[indices, 0]),
            next_observations=self._tensor(
                self._normalize_obs(self.next_observations[indices, 0], env)
            ),
            dones=self._tensor(dones),
            rewards=self._tensor(self._normalize_reward(self.rewards[indices], env)),
            discounts=None,
            weights=self._weights(indices),
            indices=indices,
        )

    def _tensor(self, array: Any) -> torch.Tensor:
        return torch.as_tensor(array, device=self.device)
