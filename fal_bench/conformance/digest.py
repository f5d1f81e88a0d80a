"""A digest of values, to see whether anybody changed them in place."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import torch

GROWING = (list, dict)
"""Containers that may be caches: they are looked into only inside other values."""


def digest(value: Any) -> str:
    """Return a digest of arrays, tensors and dataclasses, and of what they are made of."""
    state = hashlib.sha256()
    _feed(value, state)
    return state.hexdigest()


def digests(owner: object, leave_out: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the digest of each attribute of an object, private ones included.

    Lists and dictionaries are left out, for they may be caches that fill, and None, for it may
    stand for what is computed when it is first asked for.

    Args:
        owner: the object.
        leave_out: names of attributes that may change.
    """
    return {
        name: digest(value)
        for name, value in vars(owner).items()
        if not (name in leave_out or value is None or isinstance(value, GROWING) or callable(value))
    }


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
        _feed(sorted(value, key=repr), state)
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(item, state)
    elif isinstance(value, str | bytes | int | float | bool | None):
        state.update(repr(value).encode())
