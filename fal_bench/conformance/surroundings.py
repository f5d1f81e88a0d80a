"""What surrounds a strategy in its process: global random streams and settings."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

Kept = dict[str, tuple[Any, Callable[[Any], object]]]
"""By name: a value, and the function that puts it back."""


def random_streams() -> Kept:
    """Return the states of the process's global random streams."""
    return {
        "numpy.random": (np.random.get_state(legacy=False), np.random.set_state),  # noqa: NPY002
        "random": (random.getstate(), random.setstate),
        "torch's generator": (torch.get_rng_state(), torch.set_rng_state),
    }


def settings() -> Kept:
    """Return the settings that decide how numbers come out, and where the process stands."""
    return {
        "torch.set_num_threads": (torch.get_num_threads(), torch.set_num_threads),
        "torch.set_default_dtype": (torch.get_default_dtype(), torch.set_default_dtype),
        "torch.set_grad_enabled": (torch.is_grad_enabled(), torch.set_grad_enabled),
        "torch.use_deterministic_algorithms": (
            torch.are_deterministic_algorithms_enabled(),
            torch.use_deterministic_algorithms,
        ),
        "numpy.seterr": (np.geterr(), lambda kept: np.seterr(**kept)),
        "os.environ": (dict(os.environ), _restore_environment),
        "the working directory": (os.getcwd(), os.chdir),
    }


def changed(before: Kept, after: Kept) -> list[str]:
    """Return the names whose values differ."""
    return [name for name in before if not _equal(before[name][0], after[name][0])]


@contextmanager
def restored(unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Put back what has changed when the context ends, unless that is no longer wanted."""
    kept = {**random_streams(), **settings()}
    try:
        yield
    finally:
        if not unless():
            # Only what has changed: to set some of torch's settings takes seconds of imports.
            for name in changed(kept, {**random_streams(), **settings()}):
                value, put_back = kept[name]
                put_back(value)


def seed_streams(seed: int) -> None:
    """Put the global random streams at a known place, so that two runs start alike."""
    random.seed(seed)
    np.random.set_state(np.random.RandomState(seed).get_state(legacy=False))  # noqa: NPY002
    # Not torch.manual_seed, which would seed other devices too.
    torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())


def _restore_environment(kept: dict[str, str]) -> None:
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(kept)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)
