"""FedRAL's agent: stable-baselines3's DQN with a Double DQN target and prioritised replay.

Mnih et al., "Human-level control through deep reinforcement learning", Nature 2015; van Hasselt
et al., "Deep Reinforcement Learning with Double Q-learning", AAAI 2016; Schaul et al., ICLR 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import polyak_update
from torch.nn import functional

from fal_bench.arrays import FloatArray
from fal_bench.environments.agents.adam import EagerAdam
from fal_bench.environments.agents.perceptron import BoundedValues, Perceptron
from fal_bench.environments.agents.replay import PrioritizedReplayBuffer, PrioritizedSamples
from fal_bench.environments.agents.streams import child_stream, torch_stream
from fal_bench.errors import InvalidSpecError

Loss = Literal["huber", "mse"]


@dataclass(frozen=True)
class LinearEpsilon:
    """Probability of a random action, falling linearly with the number of training episodes.

    Attributes:
        initial: probability in the first episode.
        final: probability in the last episode and later.
        episodes: training episodes over which it falls.
    """

    initial: float = 1.0
    final: float = 0.1
    episodes: int = 125

    def __post_init__(self) -> None:
        if not (0 <= self.initial <= 1 and 0 <= self.final <= 1) or self.episodes < 1:
            raise InvalidSpecError(
                "Exploration needs probabilities between 0 and 1 and at least one episode, not "
                f"{self.initial}, {self.final} and {self.episodes}."
            )

    def __call__(self, episode: int) -> float:
        """Return the probability in training episode ``episode``, counted from 0."""
        progress = min(episode / max(self.episodes - 1, 1), 1.0)
        return self.initial + progress * (self.final - self.initial)


class FedRALDQN(DQN):
    """DQN as the FedRAL paper describes it; every extension can be switched off.

    It draws from streams of its own only: building, training and acting leave the global NumPy
    and torch streams as they were (stable-baselines3 itself seeds and uses them). With
    ``double=False, loss="huber", target_update="env", replay_buffer_class=ReplayBuffer,
    bounded=False``, its ``train`` equals that of stable-baselines3 bit for bit.

    Attributes:
        return_range: the least and the largest return that the environment states, or None.
        largest_values: the largest absolute value of any action that each call of ``train`` saw.

    Args:
        policy: policy class or its name, as in stable-baselines3.
        env: one environment; ``SpacesOnly`` where there is none to step.
        learning_rate: Adam's learning rate (the paper gives none).
        buffer_size: transitions kept for replay (paper: 50,000).
        tau: share of the online weights that a target update takes over (paper: 0.01).
        gamma: discount (the paper gives none).
        rng: the stream from which the agent's own streams are derived; fresh entropy if None.
        double: let the online network choose, and the target network value, the next action.
        loss: ``"huber"``, or ``"mse"`` for the mean squared TD error.
        target_update: update the target after every ``"gradient"`` step, or as stable-baselines3
            does, every ``target_update_interval`` steps of the environment (``"env"``).
        epsilon: probability of a random action by training episode.
        replay_buffer_class: ``PrioritizedReplayBuffer`` if None. stable-baselines3's own
            ``ReplayBuffer`` draws from the global NumPy stream.
        bounded: clip TD targets to the range of returns that the environment states
            (``return_range``), pull values outside of it back, and let the network's last layer
            keep them within twice that range; no effect where it states none. Nothing else holds
            undiscounted values of a maximum: they grow without limit.
        replay_buffer_kwargs: ``exponent`` (paper: 3) and ``beta`` of the prioritised buffer.
        policy_kwargs: options of the policy, as in stable-baselines3.
        device: where the networks live.
        **options: further options of ``stable_baselines3.DQN``.

    Raises:
        InvalidSpecError: a parameter cannot be used.
    """

    def __init__(
        self,
        policy: Any,
        env: Any,
        learning_rate: float = 1e-3,
        buffer_size: int = 50_000,
        tau: float = 0.01,
        gamma: float = 1.0,
        *,
        rng: np.random.Generator | None = None,
        double: bool = True,
        loss: Loss = "huber",
        target_update: Literal["gradient", "env"] = "gradient",
        bounded: bool = True,
        epsilon: LinearEpsilon | None = None,
        replay_buffer_class: type[ReplayBuffer] | None = None,
        replay_buffer_kwargs: dict[str, Any] | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        device: torch.device | str = "cpu",
        **options: Any,
    ) -> None:
        _check(learning_rate, tau, gamma, loss, target_update, options)
        rng = np.random.default_rng() if rng is None else rng
        self.weights_rng, self.exploration_rng = child_stream(rng), child_stream(rng)
        self.double, self.loss, self.target_update = double, loss, target_update
        self.bounded, self.return_range = bounded, _stated_range(env)
        self.largest_values: list[float] = []
        self.epsilon = LinearEpsilon() if epsilon is None else epsilon
        buffer_options = dict(replay_buffer_kwargs or {})
        if issubclass(replay_buffer_class or PrioritizedReplayBuffer, PrioritizedReplayBuffer):
            buffer_options = {"rng": child_stream(rng), **buffer_options}
        super().__init__(
            policy,
            env,
            learning_rate,
            buffer_size,
            tau=tau,
            gamma=gamma,
            replay_buffer_class=replay_buffer_class or PrioritizedReplayBuffer,
            replay_buffer_kwargs=buffer_options,
            policy_kwargs={"optimizer_class": EagerAdam, **(policy_kwargs or {})},
            device=device,
            **options,
        )
        self._online = Perceptron.of(self.q_net)
        self._target = Perceptron.of(self.q_net_target)
        self.set_logger(configure(None, []))
        # Where stable-baselines3 itself samples random actions (its learn()), it asks the space.
        self.action_space.seed(int(self.exploration_rng.integers(2**31)))

    @property
    def episode(self) -> int:
        """Training episodes finished so far; ``epsilon`` is read at this number."""
        return self._episode_num

    def finish_episode(self) -> None:
        """Count one training episode. ``learn()`` does so by itself."""
        self._episode_num += 1

    def random_action(self) -> int:
        """Draw an action uniformly from the agent's own stream."""
        return int(self.exploration_rng.integers(self._n_actions))

    def act(self, observation: FloatArray, *, greedy: bool = False) -> int:
        """Return an action for one observation: greedy, or epsilon-greedy while training."""
        action, _ = self.predict(observation, deterministic=greedy)
        return int(action)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Return actions as stable-baselines3 does, epsilon-greedy from the agent's own stream."""
        actions, state = self.policy.predict(observation, state, episode_start, deterministic=True)
        if not deterministic and self.exploration_rng.random() < self.epsilon(self.episode):
            actions = self.exploration_rng.integers(self._n_actions, size=np.shape(actions))
        return np.asarray(actions), state

    def train(self, gradient_steps: int, batch_size: int = 32) -> None:
        """Take gradient steps on minibatches from the replay buffer.

        Args:
            gradient_steps: how many.
            batch_size: transitions a step.

        Raises:
            InvalidSpecError: nothing has been stored yet.
        """
        assert self.replay_buffer is not None
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses, largest = [], 0.0
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            loss, value = self._gradient_step(batch)
            losses.append(loss)
            largest = max(largest, value)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        if losses:
            self.logger.record("train/loss", np.mean(losses))
            self.logger.record("train/largest_value", largest)
            self.largest_values.append(largest)

    @property
    def diverged(self) -> bool:
        """Whether a value left twice the largest return; False where none is stated."""
        largest = max(map(abs, self.return_range or (np.inf,)))
        return max(self.largest_values, default=0.0) > 2 * largest

    @property
    def _bounds(self) -> tuple[float, float] | None:
        return self.return_range if self.bounded else None

    @property
    def _n_actions(self) -> int:
        assert isinstance(self.action_space, gymnasium.spaces.Discrete)
        return int(self.action_space.n)

    def _setup_model(self) -> None:
        with torch_stream(self.weights_rng):
            super()._setup_model()
        if self._bounds is not None:
            for network in (self.q_net, self.q_net_target):
                network.q_net.append(BoundedValues(*self._bounds))

    def _on_step(self) -> None:
        if self.target_update == "env":
            super()._on_step()
        self.exploration_rate = self.epsilon(self.episode)

    def _gradient_step(self, batch: Any) -> tuple[float, float]:
        """Fit the online network to one minibatch; return the loss and the largest value."""
        targets = self._targets(batch)
        loss, all_values = self._backward(batch, targets)
        torch.nn.utils.clip_grad_norm_(self._moved, self.max_grad_norm)
        self.policy.optimizer.step()
        if isinstance(self.replay_buffer, PrioritizedReplayBuffer):
            values = all_values.gather(1, batch.actions.long())
            errors = (targets - values).squeeze(1).cpu().numpy()
            self.replay_buffer.update_priorities(batch.indices, errors)
        if self.target_update == "gradient":
            self._follow()
        return loss.item(), float(all_values.abs().max())

    @property
    def _moved(self) -> list[torch.Tensor]:
        """The parameters that gradient steps move."""
        return self._online.parameters if self._online else [*self.q_net.parameters()]

    def _backward(self, batch: Any, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the parameters their gradients; return the loss and all values, shape (B, n)."""
        if self._online is not None:
            return self._backward_by_hand(self._online, batch, targets)
        all_values = self.q_net(batch.observations)
        loss = self._loss(batch, all_values, targets)
        self.policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), all_values.detach()

    @torch.no_grad()
    def _backward_by_hand(
        self, online: Perceptron, batch: Any, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do what ``_backward`` does, with the same bits, for a network of known layers."""
        *seen, all_values = online.activations(batch.observations)
        actions = batch.actions.long()
        taken = td_gradient(all_values.gather(1, actions), targets, self.loss, _weights_of(batch))
        delta = torch.zeros_like(all_values).scatter_(1, actions, taken)
        if self._bounds is not None:
            outside = all_values - all_values.clamp(*self._bounds)
            delta.add_(outside.mul_(2).mul_(1 / outside.numel()))
        gradients = online.gradients(seen, delta)
        for parameter, gradient in zip(online.parameters, gradients, strict=True):
            parameter.grad = gradient
        return self._loss(batch, all_values, targets), all_values

    def _loss(self, batch: Any, all_values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of a minibatch, given the values of all actions, shape (B, n)."""
        values = all_values.gather(1, batch.actions.long())
        loss = td_loss(values, targets, self.loss, _weights_of(batch))
        if self._bounds is None:
            return loss
        # Targets reach only actions that were taken; the maximum is taken over all of them.
        return loss + (all_values - all_values.clamp(*self._bounds)).square().mean()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the target network towards the online one, as ``polyak_update`` does."""
        if self._online is None or self._target is None:
            polyak_update(self.q_net.parameters(), self.q_net_target.parameters(), self.tau)
            polyak_update(self.batch_norm_stats, self.batch_norm_stats_target, 1.0)
            return
        torch._foreach_mul_(self._target.parameters, 1 - self.tau)
        torch._foreach_add_(self._target.parameters, self._online.parameters, alpha=self.tau)

    def _values(self, observations: torch.Tensor, *, target: bool) -> torch.Tensor:
        """Return the values of all actions under one of the networks, shape (B, n)."""
        layers = self._target if target else self._online
        if layers is not None:
            return layers.activations(observations)[-1]
        values: torch.Tensor = (self.q_net_target if target else self.q_net)(observations)
        return values

    @torch.no_grad()
    def _targets(self, batch: Any) -> torch.Tensor:
        """Return the one-step TD targets of a minibatch, shape (B, 1)."""
        discounts = getattr(batch, "discounts", None)  # n-step buffers bring their own
        discounts = self.gamma if discounts is None else discounts
        values = self._values(batch.next_observations, target=True)
        if self.double:
            online = self._values(batch.next_observations, target=False)
            chosen = online.argmax(dim=1, keepdim=True)
            values = values.gather(1, chosen)
        else:
            values = values.max(dim=1, keepdim=True).values
        targets: torch.Tensor = batch.rewards + (1 - batch.dones) * discounts * values
        return targets if self._bounds is None else targets.clamp(*self._bounds)


class SpacesOnly(gymnasium.Env[Any, Any]):
    """Stands in for an environment where only its spaces are known, to build an agent.

    Args:
        observation_space: what the agent will observe.
        action_space: what it can do.
        return_range: the least and the largest return, or None if that is not known.
    """

    def __init__(
        self,
        observation_space: gymnasium.spaces.Box,
        action_space: gymnasium.spaces.Discrete,
        return_range: tuple[float, float] | None = None,
    ) -> None:
        self.observation_space = observation_space
        self.action_space = action_space
        self.return_range = return_range


def _stated_range(env: Any) -> tuple[float, float] | None:
    """Return the range of returns that an environment states, if it states one."""
    if not isinstance(env, gymnasium.Env) or not env.has_wrapper_attr("return_range"):
        return None
    stated: tuple[float, float] | None = env.get_wrapper_attr("return_range")
    return stated


def _weights_of(batch: Any) -> torch.Tensor | None:
    return batch.weights if isinstance(batch, PrioritizedSamples) else None


def td_loss(
    values: torch.Tensor, targets: torch.Tensor, loss: Loss, weights: torch.Tensor | None
) -> torch.Tensor:
    """Return the mean Huber loss or squared error.

    Args:
        values: of the actions taken, shape (B, 1).
        targets: what they should be, shape (B, 1).
        loss: which of the two.
        weights: of each, shape (B, 1); None weighs all alike.
    """
    elementwise = functional.smooth_l1_loss if loss == "huber" else functional.mse_loss
    if weights is None:
        return elementwise(values, targets)
    return (weights * elementwise(values, targets, reduction="none")).mean()


def td_gradient(
    values: torch.Tensor, targets: torch.Tensor, loss: Loss, weights: torch.Tensor | None
) -> torch.Tensor:
    """Return the gradient of ``td_loss`` for its ``values``, as autograd computes it."""
    as_it_is, mean = 0, 1
    if weights is None:
        above, reduction = values.new_ones(()), mean
    else:
        above, reduction = weights * (1 / weights.numel()), as_it_is
    given = (above, values, targets, reduction)
    gradient: torch.Tensor = (
        torch.ops.aten.smooth_l1_loss_backward(*given, 1.0)
        if loss == "huber"
        else torch.ops.aten.mse_loss_backward(*given)
    )
    return gradient


def _check(
    learning_rate: float,
    tau: float,
    gamma: float,
    loss: str,
    target_update: str,
    options: dict[str, Any],
) -> None:
    if not learning_rate > 0 or not 0 < tau <= 1 or not 0 <= gamma <= 1:
        raise InvalidSpecError(
            "The agent needs learning_rate > 0, tau in (0, 1] and gamma in [0, 1], not "
            f"{learning_rate}, {tau} and {gamma}."
        )
    if loss not in ("huber", "mse"):
        raise InvalidSpecError(f"Unknown loss {loss!r}; choose huber or mse.")
    if target_update not in ("gradient", "env"):
        raise InvalidSpecError(f"Unknown target_update {target_update!r}; choose gradient or env.")
    if options.get("seed") is not None:
        raise InvalidSpecError(
            "stable-baselines3's seed would seed the global random streams; pass rng instead."
        )
