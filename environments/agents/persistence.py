"""An agent's full state as JSON and arrays, without pickles.

stable-baselines3 saves agents and replay buffers as pickles, which run code when they are loaded.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from torch import nn
from torch.optim import Optimizer

from fal_bench.environments.agents.dqn import FedRALDQN
from fal_bench.environments.agents.replay import PrioritizedReplayBuffer
from fal_bench.environments.agents.streams import stream_from_json, stream_to_json
from fal_bench.errors import InvalidSpecError

Arrays = dict[str, NDArray[Any]]

_TRANSITION_FIELDS = (
    "observations",
    "next_observations",
    "actions",
    "rewards",
    "dones",
    "timeouts",
)
_COUNTERS = ("num_timesteps", "_n_updates", "_n_calls", "_episode_num")


def save_state(agent: FedRALDQN) -> tuple[dict[str, Any], Arrays]:
    """Return everything by which an agent differs from a freshly built one, between episodes.

    Returns:
        values that JSON can hold, and named arrays: networks, optimiser and replay buffer.
    """
    assert isinstance(agent.replay_buffer, ReplayBuffer)
    arrays: Arrays = {}
    save_module(agent.policy, "policy", arrays)
    values = {
        "format": 1,
        "counters": {name: getattr(agent, name) for name in _COUNTERS},
        "optimiser": save_optimiser(agent.policy.optimizer, arrays),
        "streams": {
            "weights": stream_to_json(agent.weights_rng),
            "exploration": stream_to_json(agent.exploration_rng),
            "action_space": stream_to_json(agent.action_space.np_random),
        },
        "replay": save_replay(agent.replay_buffer, arrays),
    }
    return values, arrays


def load_state(agent: FedRALDQN, values: dict[str, Any], arrays: Arrays) -> None:
    """Put a saved state into an agent built with the same parameters; it continues bit for bit.

    Raises:
        InvalidSpecError: the state belongs to an agent of another shape.
    """
    assert isinstance(agent.replay_buffer, ReplayBuffer)
    _check(agent, values, arrays)
    load_module(agent.policy, "policy", arrays)
    load_optimiser(agent.policy.optimizer, values["optimiser"], arrays)
    for name in _COUNTERS:
        setattr(agent, name, int(values["counters"][name]))
    agent.weights_rng = stream_from_json(values["streams"]["weights"])
    agent.exploration_rng = stream_from_json(values["streams"]["exploration"])
    space_stream = stream_from_json(values["streams"]["action_space"])
    agent.action_space.np_random.bit_generator.state = space_stream.bit_generator.state
    load_replay(agent.replay_buffer, values["replay"], arrays)


def save_module(module: nn.Module, prefix: str, arrays: Arrays) -> None:
    """Put a network's weights into ``arrays``, under ``prefix/``."""
    for name, tensor in module.state_dict().items():
        arrays[f"{prefix}/{name}"] = _array(tensor)


def load_module(module: nn.Module, prefix: str, arrays: Arrays) -> None:
    """Undo ``save_module``."""
    tensors = {name: torch.from_numpy(array.copy()) for name, array in _group(arrays, prefix)}
    module.load_state_dict(tensors)


def save_optimiser(optimiser: Optimizer, arrays: Arrays) -> list[dict[str, Any]]:
    """Put an optimiser's state into ``arrays``; return its parameter groups as JSON values."""
    state = optimiser.state_dict()
    for index, own in state["state"].items():
        arrays |= {f"optimiser/{index}/{name}": _array(value) for name, value in own.items()}
    groups: list[dict[str, Any]] = state["param_groups"]
    return groups


def load_optimiser(optimiser: Optimizer, groups: list[dict[str, Any]], arrays: Arrays) -> None:
    """Undo ``save_optimiser``."""
    optimiser.load_state_dict(_optimiser_state(groups, arrays))


def save_replay(buffer: ReplayBuffer, arrays: Arrays) -> dict[str, Any]:
    """Put the filled part of a replay buffer into ``arrays``; return the rest."""
    for name in _TRANSITION_FIELDS:
        arrays[f"replay/{name}"] = getattr(buffer, name)[: buffer.size()].copy()
    values: dict[str, Any] = {"position": buffer.pos, "full": buffer.full}
    if isinstance(buffer, PrioritizedReplayBuffer):
        arrays["replay/inverse_priorities"] = buffer.inverse_priorities[: buffer.size()].copy()
        values |= {"beta": buffer.beta, "stream": stream_to_json(buffer.rng)}
    return values


def load_replay(buffer: ReplayBuffer, values: dict[str, Any], arrays: Arrays) -> None:
    """Undo ``save_replay``."""
    for name, array in _group(arrays, "replay"):
        getattr(buffer, name)[: len(array)] = array
    buffer.pos, buffer.full = int(values["position"]), bool(values["full"])
    if isinstance(buffer, PrioritizedReplayBuffer):
        buffer.beta = float(values["beta"])
        buffer.rng = stream_from_json(values["stream"])


def _optimiser_state(groups: list[dict[str, Any]], arrays: Arrays) -> dict[str, Any]:
    """Rebuild the dictionary that ``torch.optim.Optimizer.load_state_dict`` takes."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in _group(arrays, "optimiser"):
        index, field = name.split("/")
        state.setdefault(int(index), {})[field] = torch.from_numpy(array.copy())
    tuples = [{**group, "betas": tuple(group["betas"])} for group in groups]  # JSON made lists
    return {"state": state, "param_groups": tuples}


def _check(agent: FedRALDQN, values: dict[str, Any], arrays: Arrays) -> None:
    """Refuse a state whose arrays do not fit the agent, before anything is changed."""
    buffer = agent.replay_buffer
    assert isinstance(buffer, ReplayBuffer)
    expected = {f"policy/{name}": tuple(t.shape) for name, t in agent.policy.state_dict().items()}
    found = {name: array.shape for name, array in arrays.items() if name.startswith("policy/")}
    if values.get("format") != 1 or expected != found:
        raise InvalidSpecError(
            "The stored agent has other networks than this one; build the agent with the "
            "parameters it was stored with, or delete the checkpoint."
        )
    size = len(arrays["replay/actions"])
    full = bool(values["replay"]["full"])
    if (size != buffer.buffer_size) if full else (size > buffer.buffer_size):
        raise InvalidSpecError(
            f"The stored replay buffer of {size} transitions does not fit this agent's "
            f"buffer_size of {buffer.buffer_size}; use the size it was stored with."
        )
    prioritized = isinstance(buffer, PrioritizedReplayBuffer)
    if prioritized != ("replay/inverse_priorities" in arrays):
        raise InvalidSpecError(
            "The stored replay buffer is of another class than this agent's; build the agent "
            "with the replay_buffer_class it was stored with."
        )


def _group(arrays: Arrays, prefix: str) -> list[tuple[str, NDArray[Any]]]:
    start = f"{prefix}/"
    return [(key.removeprefix(start), arrays[key]) for key in arrays if key.startswith(start)]


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy().copy()
    return array
