"""LeaDQ's networks, and the training of the shared Q-network on the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.torch_layers import create_mlp
from stable_baselines3.common.utils import polyak_update
from torch import Tensor, nn
from torch.nn import functional

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.environments.agents.persistence import (
    load_module,
    load_optimiser,
    load_replay,
    save_module,
    save_optimiser,
    save_replay,
)
from fal_bench.environments.agents.replay import PrioritizedReplayBuffer
from fal_bench.environments.agents.streams import child_stream, torch_stream
from fal_bench.strategies.leadq_pool.params import LeaDQParams


def q_network(arrivals: int, n_classes: int, hidden: int) -> nn.Sequential:
    """Return a network that maps a sub-pool's softmax outputs to one value a sample."""
    layers = create_mlp(arrivals * n_classes, arrivals, [hidden, hidden])
    return nn.Sequential(*layers)


@torch.no_grad()
def q_values(parameters: FloatArray, observations: FloatArray, hidden: int) -> FloatArray:
    """Return the values of sub-pools under a Q-network that was sent as one vector.

    Args:
        parameters: the network's weights, in the order of its layers.
        observations: shape (b, arrivals, n_classes).
        hidden: units in each hidden layer.

    Returns:
        Shape (b, arrivals).
    """
    _, arrivals, n_classes = observations.shape
    with torch.device("meta"):  # initial weights are not needed
        network = q_network(arrivals, n_classes, hidden)
    # A copy, because torch refuses to wrap a message that is read-only.
    sent = torch.from_numpy(parameters.copy())
    sizes = [one.numel() for one in network.parameters()]
    parts = zip(network.named_parameters(), torch.split(sent, sizes), strict=True)
    weights = {name: part.view(like.shape) for (name, like), part in parts}
    states = torch.from_numpy(observations).flatten(1)
    values: FloatArray = torch.func.functional_call(network, weights, (states,)).numpy()
    return values


class MonotonicMixer(nn.Module):
    """QMIX: a total value that never falls when a client's value rises.

    Rashid et al., "QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent
    Reinforcement Learning", ICML 2018. The weights of a two-layer network are made from the
    state, and their absolute values are used.

    Args:
        clients: number of clients.
        state: length of the state.
        hidden: units in the hidden layer.
    """

    def __init__(self, clients: int, state: int, hidden: int) -> None:
        super().__init__()
        self.clients, self.hidden = clients, hidden
        self.first_weights = nn.Linear(state, clients * hidden)
        self.first_bias = nn.Linear(state, hidden)
        self.last_weights = nn.Linear(state, hidden)
        self.last_bias = nn.Sequential(nn.Linear(state, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, values: Tensor, state: Tensor) -> Tensor:
        """Mix the clients' values, shape (B, clients), in a state, shape (B, state), to (B,)."""
        first = self.first_weights(state).abs().view(-1, self.clients, self.hidden)
        inner = functional.elu(torch.einsum("bk,bkh->bh", values, first) + self.first_bias(state))
        total: Tensor = (inner * self.last_weights(state).abs()).sum(dim=1)
        offset: Tensor = self.last_bias(state).squeeze(1)
        return total + offset


class SumMixer(nn.Module):
    """Value decomposition networks: the total value is the sum (Sunehag et al., AAMAS 2018)."""

    def forward(self, values: Tensor, state: Tensor) -> Tensor:  # noqa: ARG002
        """Sum the clients' values, shape (B, clients), to (B,)."""
        return values.sum(dim=1)


GRADIENT_NORM = 10.0
"""Longer gradients are cut, as in stable-baselines3's DQN (an option of LeaDQ's code)."""


@dataclass(frozen=True)
class Layout:
    """What a joint observation holds: all clients' sub-pools, and the state behind them.

    Attributes:
        clients: number of clients.
        arrivals: samples in a sub-pool.
        n_classes: length of a softmax output.
        state: length of the state.
    """

    clients: int
    arrivals: int
    n_classes: int
    state: int

    def join(self, subpools: FloatArray, state: FloatArray) -> FloatArray:
        """Return sub-pools, shape (clients, arrivals, n_classes), and state as one vector."""
        return np.concatenate([subpools.ravel(), state], dtype=np.float32)

    def part(self, joint: Tensor) -> tuple[Tensor, Tensor]:
        """Return sub-pools, (B, clients, arrivals, n_classes), and states, (B, state)."""
        length = self.clients * self.arrivals * self.n_classes
        shape = (-1, self.clients, self.arrivals, self.n_classes)
        return joint[:, :length].reshape(shape), joint[:, length:]


class JointLearner:
    """A Q-network that all clients share, trained on the value of what they do together.

    Of stable-baselines3 it uses the replay buffer (with the project's own random stream), the
    network builder and the target update. Its DQN itself does not fit: it knows one discrete
    action, and here an action is one choice at every client, with values that a mixing network
    puts together.

    Args:
        layout: what a joint observation holds.
        params: LeaDQ's parameters.
        rng: the stream of initial weights and minibatches.
    """

    def __init__(self, layout: Layout, params: LeaDQParams, rng: np.random.Generator) -> None:
        self._layout, self._params = layout, params
        with torch_stream(rng):
            self.networks = nn.ModuleDict({"q": self._q(), "mixer": self._mixer()})
            self.targets = nn.ModuleDict({"q": self._q(), "mixer": self._mixer()})
        self.targets.load_state_dict(self.networks.state_dict())
        # A mixer that is not trained must not collect gradients either: they would be clipped with.
        self.networks["mixer"].requires_grad_(params.mixer == "trained")
        trained = self.networks if params.mixer == "trained" else self.networks["q"]
        self.optimiser = torch.optim.Adam(trained.parameters(), lr=params.lr)
        length = layout.clients * layout.arrivals * layout.n_classes + layout.state
        self.buffer = PrioritizedReplayBuffer(
            params.replay,
            spaces.Box(0.0, np.inf, (length,), np.float32),
            spaces.MultiDiscrete([layout.arrivals] * layout.clients),
            device="cpu",
            exponent=0.0,
            rng=child_stream(rng),
        )
        self.updates = 0

    @property
    def warm(self) -> bool:
        """Whether enough transitions are stored to train on."""
        return self.buffer.size() >= self._params.batch_size

    def remember(
        self, before: FloatArray, actions: IntArray, reward: float, after: FloatArray
    ) -> None:
        """Store one joint transition; see ``Layout.join`` for the observations."""
        self.buffer.add(
            before[None],
            after[None],
            actions,
            np.array([reward]),
            np.array([False]),
            [{}],
        )

    def train(self) -> None:
        """Take a cycle's gradient steps."""
        for _ in range(self._params.updates):
            batch = self.buffer.sample(min(self._params.batch_size, self.buffer.size()))
            values = self.total(batch.observations, batch.actions)
            wanted = self.wanted(batch.next_observations, batch.rewards.squeeze(1))
            self.optimiser.zero_grad()
            functional.mse_loss(values, wanted).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.networks.parameters(), GRADIENT_NORM)
            self.optimiser.step()
            self.updates += 1
            if self.updates % self._params.target_interval == 0:
                polyak_update(self.networks.parameters(), self.targets.parameters(), 1.0)

    def total(self, joint: Tensor, actions: Tensor) -> Tensor:
        """Return the total value of joint actions, shape (B,)."""
        return self._mixed(self.networks, joint, actions)

    @torch.no_grad()
    def wanted(self, joint: Tensor, rewards: Tensor) -> Tensor:
        """Return the one-step targets, shape (B,): no query is the last one.

        Every client takes its own best action. As the mixer is monotonic, no joint action has a
        larger total value.
        """
        chooser = self.networks if self._params.double else self.targets
        subpools, _ = self._layout.part(joint)
        values = chooser["q"](subpools.flatten(2))
        best = values.masked_fill(~_there(subpools), -torch.inf).argmax(dim=2)
        return rewards + self._params.gamma * self._mixed(self.targets, joint, best)

    def policy(self) -> FloatArray:
        """Return the Q-network's weights as one vector."""
        vector = nn.utils.parameters_to_vector(self.networks["q"].parameters())
        return vector.detach().numpy()

    def save(self) -> dict[str, Any]:
        """Return the learner as JSON values and arrays."""
        arrays: dict[str, NDArray[Any]] = {}
        save_module(self.networks, "networks", arrays)
        save_module(self.targets, "targets", arrays)
        values = {
            "updates": self.updates,
            "optimiser": save_optimiser(self.optimiser, arrays),
            "replay": save_replay(self.buffer, arrays),
        }
        return {"values": values, "arrays": arrays}

    def load(self, saved: dict[str, Any]) -> None:
        """Undo ``save``, in a learner of the same layout and parameters."""
        values, arrays = saved["values"], saved["arrays"]
        load_module(self.networks, "networks", arrays)
        load_module(self.targets, "targets", arrays)
        load_optimiser(self.optimiser, values["optimiser"], arrays)
        load_replay(self.buffer, values["replay"], arrays)
        self.updates = int(values["updates"])

    def _mixed(self, networks: nn.ModuleDict, joint: Tensor, actions: Tensor) -> Tensor:
        """Return the total value; a client without a sub-pool adds nothing of its own."""
        subpools, state = self._layout.part(joint)
        values = networks["q"](subpools.flatten(2)).gather(2, actions.long()[..., None])
        total: Tensor = networks["mixer"](values.squeeze(2) * _there(subpools).any(dim=2), state)
        return total

    def _q(self) -> nn.Module:
        return q_network(self._layout.arrivals, self._layout.n_classes, self._params.hidden)

    def _mixer(self) -> nn.Module:
        if self._params.mixer == "sum":
            return SumMixer()
        return MonotonicMixer(self._layout.clients, self._layout.state, self._params.mixer_hidden)


def _there(subpools: Tensor) -> Tensor:
    """Return which samples of sub-pools exist: softmax outputs are never all zero."""
    return (subpools > 0).any(dim=-1)
