"""NumPy arrays by the type of their elements, for annotations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
RealArray = NDArray[np.floating[Any]]
"""Floats of any precision."""

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
