"""Where models are trained and asked: on the processor or on a GPU.

Architectures name their device; weights and samples live there, as ``Setting`` and the engines see
to. Random draws stay on the processor, so that every device sees the same initial weights and
batches, and what leaves for strategies and checkpoints are NumPy arrays and modules on the
processor. PyTorch is imported late: most commands never need it.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

from fal_bench.errors import FalbenchError, InvalidSpecError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Device = Literal["auto", "cpu", "cuda"]
"""What a user may ask for."""

Numbers = Literal["float32", "tf32", "bf16"]
"""What the products of a training step are computed with on a GPU."""

NUMBERS: Numbers = "bf16"

CPU = "cpu"
CUDA = "cuda"


class DeviceError(FalbenchError):
    """The device that was asked for is not there."""


def resolve_device(choice: str) -> str:
    """Return the device class that runs are computed on, ``"cpu"`` or ``"cuda"``.

    Args:
        choice: ``"auto"`` is the GPU if PyTorch can use one, else the processor.

    Raises:
        InvalidSpecError: the choice is unknown.
        DeviceError: ``"cuda"`` is asked for and PyTorch cannot use it.
    """
    if choice not in get_args(Device):
        raise InvalidSpecError(
            f"Unknown device {choice!r}; choose from: {', '.join(get_args(Device))}."
        )
    if choice == CPU or (choice == "auto" and not _has_driver()):
        return CPU
    import torch

    if torch.cuda.is_available():
        return CUDA
    if choice == CUDA:
        raise DeviceError(
            "PyTorch finds no CUDA device; use device cpu, or install a driver and a PyTorch "
            "with CUDA (python -c 'import torch; print(torch.cuda.is_available())' tells)."
        )
    return CPU


def _has_driver() -> bool:
    """Whether there is a driver without which PyTorch need not be asked, which takes seconds."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute with 32-bit floats while the context is open, not with the shorter TF32.

    Convolutions would use TF32 on a GPU by default; matrix products never do by default.
    """
    import torch

    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield


@contextmanager
def arithmetic(numbers: Numbers) -> Iterator[None]:
    """Compute a GPU's products with other numbers while the context is open.

    Args:
        numbers: ``"float32"``, ``"tf32"`` (its products with 10 bits of mantissa), or ``"bf16"``
            (activations, too, with 7); weights and what adds up stay at 32 bits.
    """
    import torch

    shorter = numbers == "tf32"
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = shorter
    try:
        with (
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=shorter
            ),
            # A cache of casts would outlive the step that is recorded.
            torch.autocast("cuda", torch.bfloat16, enabled=numbers == "bf16", cache_enabled=False),
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def wait_for(device: str) -> None:
    """Wait until a GPU has done its work, so that a clock can be read."""
    if device == CUDA:
        import torch

        torch.cuda.synchronize()


def on_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return an array as a tensor on a device; on the processor both share their memory."""
    import torch

    return torch.from_numpy(array).to(device)
