"""The networks of LeaDQ: one Q-network for all clients, and what mixes their values."""

from __future__ import annotations

import torch
from stable_baselines3.common.torch_layers import create_mlp
from torch import Tensor, nn
from torch.nn import functional

from fal_bench.arrays import FloatArray


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
    with torch.device("meta"):  # no draw of initial weights that nobody will use
        network = q_network(arrivals, n_classes, hidden)
    network.to_empty(device="cpu")
    # A copy, because torch refuses to wrap a message that is read-only.
    nn.utils.vector_to_parameters(torch.from_numpy(parameters.copy()), network.parameters())
    values: FloatArray = network(torch.from_numpy(observations).flatten(1)).numpy()
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
