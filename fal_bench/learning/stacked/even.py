"""Even sizes, so that a slot's bits depend neither on its place nor on its company.

Slots lie side by side in memory. Where all sizes are even, every slot's matrices start at a
multiple of 16 bytes. Where they are not, some start between, and the matrix products of some
processors then round otherwise. So what is odd gets one more, which is zero: nothing flows through
it, and it never moves.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad


def even(size: int) -> int:
    """Return a size, or the next one if it is odd."""
    return size + size % 2


def widened(tensor: Tensor, size: int) -> Tensor:
    """Return a tensor with zeros behind its last axis, up to ``size``."""
    missing = size - tensor.shape[-1]
    return pad(tensor, [0, missing]) if missing else tensor
