"""An agent's own random streams, and how to keep stable-baselines3 off the global ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from fal_bench.errors import InvalidSpecError


def child_stream(rng: np.random.Generator) -> np.random.Generator:
    """Return an independent Philox stream whose 128-bit key is drawn from ``rng``."""
    key = rng.integers(0, 2**64, size=2, dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


@contextmanager
def torch_stream(rng: np.random.Generator) -> Iterator[None]:
    """Run a block on a CPU torch stream drawn from ``rng``, then put the global one back.

    stable-baselines3 draws initial weights from torch's global generator and offers no other way.
    Only the CPU generator is exchanged: ``torch.manual_seed`` would re-seed other devices too.
    """
    before = torch.get_rng_state()
    seed = int(rng.integers(0, 2**63, dtype=np.int64))
    torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
    try:
        yield
    finally:
        torch.set_rng_state(before)


@contextmanager
def global_streams(rng: np.random.Generator) -> Iterator[None]:
    """Run a block with PyTorch's and NumPy's global streams drawn from ``rng``; put them back.

    stable-baselines3's on-policy algorithms draw actions from the one and batches from the other.
    """
    before = np.random.get_state()  # noqa: NPY002  # put back below
    np.random.seed(int(rng.integers(2**32)))  # noqa: NPY002  # for this block alone
    try:
        with torch_stream(rng):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def stream_to_json(rng: np.random.Generator) -> dict[str, Any]:
    """Return a generator's exact position as plain JSON values."""
    state: dict[str, Any] = _plain(rng.bit_generator.state)
    return state


def stream_from_json(state: dict[str, Any]) -> np.random.Generator:
    """Return a new generator that continues where ``stream_to_json`` stopped.

    Raises:
        InvalidSpecError: the state does not describe one of NumPy's bit generators.
    """
    kinds = {"Philox": np.random.Philox, "PCG64": np.random.PCG64, "PCG64DXSM": np.random.PCG64DXSM}
    try:
        bits = kinds[state["bit_generator"]]()
        bits.state = _arrays(state)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidSpecError(
            "A stored random stream cannot be read; delete the checkpoint and run again."
        ) from error
    return np.random.Generator(bits)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [int(item) for item in value]
    return int(value) if isinstance(value, np.integer) else value


def _arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    return np.array(value, dtype=np.uint64) if isinstance(value, list) else value
