"""The state of a run between two cycles: all that a resumed run needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.federation.memory import from_json_array, join, split, to_json_array

if TYPE_CHECKING:
    from torch import Tensor

    from fal_bench.learning.model import Weights


@dataclass
class RunState:
    """Where a run stands before it trains for a cycle.

    Attributes:
        cycle: the cycle that comes next.
        charges: the ledger's charges.
        memories: memory of each client, and of the server under index -1 (the last entry).
        select_seconds: seconds that the selection before this cycle took.
        bytes_up: bytes sent to the server by that selection, all clients together.
        bytes_down: bytes sent by the server in that selection.
        weights: the global model, if the task keeps it over cycles.
        aggregation: what the aggregation remembers at each client and, last, at the server, if the
            task keeps the model over cycles; empty otherwise.
        unrecorded: why metrics could not be measured, by name; they are not called again.
    """

    cycle: int
    charges: list[tuple[int, int, str, int]]
    memories: list[dict[str, Any]]
    select_seconds: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    weights: Weights | None = field(default=None)
    aggregation: tuple[dict[str, Weights], ...] = ()
    unrecorded: dict[str, str] = field(default_factory=dict)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays, the JSON part under ``state``."""
        arrays: dict[str, NDArray[Any]] = {}
        plain = {
            "cycle": self.cycle,
            "charges": [list(charge) for charge in self.charges],
            "memories": split(self.memories, arrays),
            "select_seconds": self.select_seconds,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "weights": None if self.weights is None else sorted(self.weights),
        }
        if self.unrecorded:
            plain["unrecorded"] = self.unrecorded
        for name, tensor in (self.weights or {}).items():
            arrays[f"weights/{name}"] = tensor.numpy(force=True)
        if any(self.aggregation):
            plain["aggregation"] = [
                {key: sorted(group) for key, group in memory.items()} for memory in self.aggregation
            ]
        for number, key, name, tensor in self._remembered():
            arrays[f"aggregation/{number}/{key}/{name}"] = tensor.numpy(force=True)
        arrays["state"] = to_json_array(plain)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> RunState:
        """Rebuild the state from ``to_arrays``."""
        plain = from_json_array(arrays["state"])
        names = plain.pop("weights")
        weights = None if names is None else _tensors(arrays, "weights", names)
        plain["aggregation"] = tuple(
            {
                key: _tensors(arrays, f"aggregation/{number}/{key}", group)
                for key, group in memory.items()
            }
            for number, memory in enumerate(plain.get("aggregation", ()))
        )
        plain["memories"] = join(plain["memories"], arrays)
        plain.pop("purses", None)  # of an earlier version: it follows from the charges
        plain["charges"] = [tuple(charge) for charge in plain["charges"]]
        return cls(**plain, weights=weights)

    def _remembered(self) -> Iterator[tuple[int, str, str, Tensor]]:
        """Yield client, key, name and tensor of all that the aggregation remembers."""
        for number, memory in enumerate(self.aggregation):
            for key, group in memory.items():
                for name, tensor in group.items():
                    yield number, key, name, tensor


def _tensors(arrays: dict[str, NDArray[Any]], prefix: str, names: Iterable[str]) -> Weights:
    # Here, because a report reads stored runs without PyTorch.
    import torch

    return {name: torch.from_numpy(np.array(arrays[f"{prefix}/{name}"])) for name in names}
