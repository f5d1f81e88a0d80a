"""Where a cell was computed: versions and processor, kept beside every curve."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from fal_bench._version import __version__

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "stable-baselines3", "gymnasium")


@lru_cache(maxsize=1)
def environment() -> dict[str, str]:
    """Return versions of Python, falbench and the libraries, and the processor's name."""
    return {
        "falbench": __version__,
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux; the standard library's answer follows
    return platform.processor()
