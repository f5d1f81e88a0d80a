"""What a plugin may change by mistake: global random streams, settings, and what it is shown."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch

from fal_bench.isolation.leftover import threads_waited_for
from fal_bench.isolation.surroundings import Surroundings

GLOBAL_SEED: Final = 7310
"""None that a plugin is likely to choose, which would leave the stream where it was."""

Kept = dict[str, tuple[Any, Callable[[Any], object]]]
"""By name: a value, and the function that puts it back."""

GROWING = (list, dict)
"""Containers that may be caches: they are looked into only inside other values."""


def random_streams() -> Kept:
    """Return the states of the process's global random streams."""
    return {
        "numpy.random": (np.random.get_state(legacy=False), np.random.set_state),  # noqa: NPY002
        "random": (random.getstate(), random.setstate),
        "torch's generator": (torch.get_rng_state(), torch.set_rng_state),
    }


class Before:
    """How a process was before a plugin was called."""

    def __init__(self) -> None:
        self._streams = random_streams()
        self._surroundings = Surroundings()
        self._threads = set(threads_waited_for())

    def drawn(self) -> list[str]:
        """Return the global random streams that have moved on."""
        now = random_streams()
        return [name for name, (kept, _) in self._streams.items() if not _equal(kept, now[name][0])]

    def changed(self) -> list[str]:
        """Return the settings that are others now, and the threads that were left running."""
        left = [one for one in threads_waited_for() if one not in self._threads]
        names = [one.name for one in self._surroundings.changed()]
        return [*names, *(f"the running threads ({one.name!r} was left)" for one in left)]

    def restore(self) -> None:
        """Put back what has changed."""
        for name in self.drawn():
            value, put_back = self._streams[name]
            put_back(value)
        self._surroundings.put_back()


@contextmanager
def restored(unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Put back what has changed when the context ends, unless that is no longer wanted."""
    before = Before()
    try:
        yield
    finally:
        if not unless():
            before.restore()


def seed_streams(seed: int) -> None:
    """Put the global random streams at a known place, so that two runs start alike."""
    random.seed(seed)
    np.random.set_state(np.random.RandomState(seed).get_state(legacy=False))  # noqa: NPY002
    # Not torch.manual_seed, which would seed other devices too.
    torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())


def digest(value: Any) -> str:
    """Return a digest of arrays, tensors and dataclasses, and of what they are made of."""
    state = hashlib.sha256()
    _feed(value, state)
    return state.hexdigest()


class Digests(dict[int, str]):
    """Digests of objects, taken at one moment: each once, however many others hold it."""

    def of(self, value: Any) -> str:
        """Return the digest of an object that lives on."""
        if id(value) not in self:
            self[id(value)] = digest(value)
        return self[id(value)]


def digests(owner: object, known: Digests, leave_out: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the digest of each attribute of an object, private ones included.

    Lists and dictionaries are left out, for they may be caches that fill, and None, for it may
    stand for what is computed when it is first asked for.

    Args:
        owner: the object.
        known: digests of this moment.
        leave_out: names of attributes that may change.
    """
    return {
        name: known.of(value)
        for name, value in vars(owner).items()
        if not (name in leave_out or value is None or isinstance(value, GROWING) or callable(value))
    }


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)


def _feed(value: Any, state: Any) -> None:
    state.update(type(value).__name__.encode())
    if isinstance(value, torch.Tensor):
        state.update(f"{value.dtype}{tuple(value.shape)}{value.requires_grad}".encode())
        state.update(value.detach().contiguous().numpy().tobytes())
    elif isinstance(value, np.ndarray):
        state.update(f"{value.dtype}{value.shape}".encode())
        state.update(value.tobytes())
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            _feed(getattr(value, field.name), state)
    elif isinstance(value, dict):
        for key in sorted(value, key=repr):
            _feed((key, value[key]), state)
    elif isinstance(value, set | frozenset):
        state.update(repr(sorted(value, key=repr)).encode())
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(item, state)
    elif isinstance(value, str | bytes | int | float | bool | None):
        state.update(repr(value).encode())
