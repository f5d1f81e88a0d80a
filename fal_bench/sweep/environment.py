"""Where a run was computed: versions, processor and GPU, kept beside every curve."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from fal_bench._version import __version__
from fal_bench.learning.device import CPU

LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "scipy",
    "scikit-learn",
    "stable-baselines3",
    "gymnasium",
)


@lru_cache(maxsize=2)
def environment(device: str = CPU) -> dict[str, str]:
    """Return versions of Python, falbench and the libraries, and the names of what computes.

    Args:
        device: class of the device; a GPU is named, too.
    """
    return {
        "falbench": __version__,
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        **({} if device == CPU else {"gpu": _gpu()}),
    }


def _gpu() -> str:
    import torch

    # A worker may see no GPU though its supervisor did; its runs then fail with the reason.
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux; the standard library's answer follows
    return platform.processor()
