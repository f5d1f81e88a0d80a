"""Random streams, each named by what it is for.

Every random number of a run comes from a stream keyed by (seed, task, component, keys...), so an
extra draw in one component never shifts another, and two strategies with the same seed share
partition, initial labels, model initialisation and batch order. The generator is counter-based
(Philox), so a stream is made where it is needed and never has to be stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random.bit_generator import ISpawnableSeedSequence
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class _Key(ISpawnableSeedSequence):
    """The key of a Philox stream, as it is.

    ``Philox(key=...)`` asks the operating system for entropy that it never uses, which takes most
    of its time, and makes the children of its generators differ from process to process.
    """

    def __init__(self, key: NDArray[np.uint64]) -> None:
        self._key = key
        self._parent: np.random.SeedSequence | None = None

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> NDArray[Any]:
        """Return the key."""
        assert (n_words, np.dtype(dtype)) == (len(self._key), self._key.dtype)
        return self._key

    def spawn(  # type: ignore[override]  # children need not be of this class
        self, n_children: int
    ) -> list[np.random.SeedSequence]:
        """Return seeds of independent streams, which follow from the key."""
        if self._parent is None:
            self._parent = np.random.SeedSequence(self._key.tolist())
        return self._parent.spawn(n_children)


@dataclass(frozen=True)
class Streams:
    """All random streams of one (seed, task).

    Args:
        seed: the seed of the run; runs that share it are paired.
        task: the task without its recipe (``Task.problem``).
    """

    seed: int
    task: str

    def key(self, component: str, *keys: int) -> bytes:
        """Return the 32 bytes that identify one stream."""
        text = "/".join([str(self.seed), self.task, component, *map(str, keys)])
        return hashlib.sha256(text.encode()).digest()

    def numpy(self, component: str, *keys: int) -> np.random.Generator:
        """Return a fresh NumPy generator at the start of the stream."""
        key = np.frombuffer(self.key(component, *keys)[:16], dtype=np.uint64)
        # NumPy takes any seed sequence, though its annotations name one class.
        return np.random.Generator(np.random.Philox(_Key(key)))  # type: ignore[arg-type]

    def torch(self, component: str, *keys: int) -> torch.Generator:
        """Return a fresh CPU torch generator at the start of the stream."""
        import torch

        seed = int.from_bytes(self.key(component, *keys)[:8], "little", signed=True)
        return torch.Generator().manual_seed(seed)
