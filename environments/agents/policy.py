"""A trained policy on its own: greedy, frozen, and stored without anything that can run."""

from __future__ import annotations

import io
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn
from torch.nn import functional

from fal_bench.arrays import FloatArray
from fal_bench.environments.agents.dqn import FedRALDQN
from fal_bench.environments.agents.perceptron import BoundedValues
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.archives import Archive
from fal_bench.inputs.files import (
    MOST_BYTES,
    MissingFileError,
    UnreadableFileError,
    parsed,
    read_bytes,
)

FORMAT = "falbench-policy-1"


@dataclass(frozen=True)
class GreedyPolicy:
    """A Q-network that picks the action of the largest value: linear layers with ReLU between.

    Attributes:
        weights: one matrix a layer, shape (outputs, inputs).
        biases: one vector a layer, shape (outputs,).
        metadata: what the policy was trained on; values that JSON can hold.
    """

    weights: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, agent: FedRALDQN, metadata: dict[str, Any] | None = None) -> GreedyPolicy:
        """Copy an agent's current policy.

        Raises:
            InvalidSpecError: the agent's network is not a plain ReLU network.
        """
        network = agent.q_net
        layers = [layer for layer in network.q_net if isinstance(layer, nn.Linear)]
        # A bound leaves the order of the values as it is, which is all that a policy needs.
        others = {type(layer) for layer in network.q_net} - {nn.Linear, nn.ReLU, BoundedValues}
        if others or type(network.features_extractor) is not FlattenExtractor:
            raise InvalidSpecError(
                "Only policies made of linear layers and ReLU can be exported; "
                "build the agent with 'MlpPolicy' and its default activation."
            )
        return cls(
            tuple(layer.weight.detach().cpu().clone() for layer in layers),
            tuple(layer.bias.detach().cpu().clone() for layer in layers),
            dict(metadata or {}),
        )

    @classmethod
    def from_arrays(
        cls, layers: list[list[FloatArray]], metadata: dict[str, Any] | None = None
    ) -> GreedyPolicy:
        """Build a policy from one [weights, biases] a layer; undoes ``to_arrays``."""
        tensors = [(torch.from_numpy(weight), torch.from_numpy(bias)) for weight, bias in layers]
        weights, biases = zip(*tensors, strict=True)
        return cls(weights, biases, dict(metadata or {}))

    def to_arrays(self) -> list[list[FloatArray]]:
        """Return one [weights, biases] a layer."""
        return [
            [weight.numpy(), bias.numpy()]
            for weight, bias in zip(self.weights, self.biases, strict=True)
        ]

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        return int(self.weights[0].shape[1])

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        return int(self.weights[-1].shape[0])

    def values(self, observation: FloatArray) -> FloatArray:
        """Return the Q-value of every action before any bound, shape (n_actions,)."""
        hidden = torch.as_tensor(observation, dtype=torch.float32)[None]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = functional.relu(functional.linear(hidden, weight, bias))
        values: FloatArray = functional.linear(hidden, self.weights[-1], self.biases[-1]).numpy()[0]
        return values

    def act(self, observation: FloatArray) -> int:
        """Return the action of the largest value; the first of several."""
        return int(self.values(observation).argmax())

    def require(self, observation_size: int, n_actions: int) -> None:
        """Check that the policy fits an environment.

        Raises:
            InvalidSpecError: it observes or does something else.
        """
        if (self.observation_size, self.n_actions) != (observation_size, n_actions):
            raise InvalidSpecError(
                f"The policy takes {self.observation_size} observations and has {self.n_actions} "
                f"actions, but {observation_size} and {n_actions} are needed; use a policy that "
                "was trained with the same quantiles and batch sizes."
            )


def export_policy(policy: GreedyPolicy, path: str | Path) -> None:
    """Write a policy as an ``.npz`` file of weights and JSON; replaces the file atomically."""
    path = Path(path)
    arrays: dict[str, Any] = {
        "header": np.array(json.dumps({"format": FORMAT, "metadata": policy.metadata}))
    }
    for index, (weight, bias) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        arrays |= {f"weight{index}": weight.numpy(), f"bias{index}": bias.numpy()}
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def import_policy(path: str | Path) -> GreedyPolicy:
    """Read a policy written by ``export_policy``; never runs code from the file.

    Raises:
        InvalidSpecError: there is no such file, or it holds no usable policy.
    """
    path = Path(path)
    try:
        archive = Archive(io.BytesIO(read_bytes(path, links=True)))
        arrays = archive.read(archive.names, MOST_BYTES)
        policy = _assemble(parsed(path, str(arrays.pop("header"))), arrays)
    except MissingFileError as error:
        raise InvalidSpecError(f"There is no policy file {str(path)!r}; check the path.") from error
    except (UnreadableFileError, ValueError, KeyError, TypeError) as error:
        raise InvalidSpecError(
            f"{str(path)!r} is not a policy exported by falbench; export it again."
        ) from error
    return policy


def _assemble(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> GreedyPolicy:
    """Build a policy from a file's parts; raises ValueError where they do not fit together."""
    if header["format"] != FORMAT or not arrays or len(arrays) % 2:
        raise ValueError("unknown format")
    layers = [(arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in range(len(arrays) // 2)]
    inputs = layers[0][0].shape[-1]
    for weight, bias in layers:
        fits = weight.ndim == 2 and weight.shape[1] == inputs and bias.shape == weight.shape[:1]
        if not fits or {weight.dtype, bias.dtype} != {np.dtype(np.float32)}:
            raise ValueError("layers do not fit together")
        if not (np.isfinite(weight).all() and np.isfinite(bias).all() and weight.size):
            raise ValueError("weights are not finite")
        inputs = weight.shape[0]
    return GreedyPolicy(
        tuple(torch.from_numpy(weight) for weight, _ in layers),
        tuple(torch.from_numpy(bias) for _, bias in layers),
        dict(header["metadata"]),
    )
