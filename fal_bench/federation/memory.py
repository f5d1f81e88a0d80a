"""Per-client memory as JSON and arrays: what a strategy may keep, and never a pickle."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.errors import MemoryContentError

_ARRAY = "__array__"


def split(memory: Any, arrays: dict[str, NDArray[Any]], where: str = "memory") -> Any:
    """Return ``memory`` as plain JSON, its arrays moved to ``arrays``.

    Args:
        memory: dicts with text keys, lists, text, numbers, booleans, None and NumPy arrays.
        arrays: filled with the arrays.
        where: path of ``memory``, for errors.

    Raises:
        MemoryContentError: something in ``memory`` is of another type.
    """
    if isinstance(memory, np.ndarray) and not memory.dtype.hasobject:
        name = f"memory/{len(arrays)}"  # numbered: paths of odd keys can be alike
        arrays[name] = memory
        return {_ARRAY: name}
    if isinstance(memory, np.generic):
        return memory.item()
    if memory is None or isinstance(memory, bool | int | float | str):
        return memory
    if isinstance(memory, list | tuple):
        return [split(item, arrays, f"{where}[{i}]") for i, item in enumerate(memory)]
    if isinstance(memory, dict):
        if not all(isinstance(key, str) and key != _ARRAY for key in memory):
            raise MemoryContentError(f"The keys of {where} must be text; use str keys.")
        return {key: split(item, arrays, f"{where}.{key}") for key, item in memory.items()}
    raise MemoryContentError(
        f"{where} holds a {type(memory).__name__}; keep only JSON values and NumPy arrays."
    )


def to_json_array(plain: Any) -> NDArray[np.uint8]:
    """Return JSON values as an array, to be stored beside the arrays."""
    return np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)


def from_json_array(array: NDArray[np.uint8]) -> Any:
    """Undo ``to_json_array``."""
    return json.loads(array.tobytes().decode())


def join(plain: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Undo ``split``; the arrays are copied, so that they are not shared."""
    if isinstance(plain, dict):
        if _ARRAY in plain:
            return np.array(arrays[plain[_ARRAY]])
        return {key: join(item, arrays) for key, item in plain.items()}
    if isinstance(plain, list):
        return [join(item, arrays) for item in plain]
    return plain
