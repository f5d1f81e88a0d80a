"""The version of the arithmetic, part of every run's key."""

from fal_bench.learning.device import CPU, CUDA

NUMERICS_VERSIONS = {CPU: 5, CUDA: 5}
"""By device class: raised by any change to engines, models or harness that changes a curve."""


def numerics_of(device: str) -> int:
    """Return the version on a class of devices; 0 if there is no such class."""
    return NUMERICS_VERSIONS.get(device, 0)
