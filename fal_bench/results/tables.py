"""Reading ``curves.csv`` and ``charges.csv`` of published results, to the last bit."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from fal_bench.errors import PublicationError, one_line
from fal_bench.federation.ledger import PURPOSES
from fal_bench.inputs.cells import MOST_CELLS, cells_in, read_count, read_number, read_whole
from fal_bench.inputs.files import read_text
from fal_bench.plugins.registry import current_registry
from fal_bench.results.identity import SHOWN
from fal_bench.results.model import BY_CLIENT, COSTS, KEYS, NOT_METRICS, TIMINGS

_MOST_SECONDS = 1e9
"""Of training or selection in a cycle: 30 years, so that sums of them stay finite."""

_ROUNDING = 1e-9
"""By which a share may lie outside 0 and 1, since it may be a sum."""

_BY_CLIENT = re.compile(r"[0-9]+(?: [0-9]+)*")

_CURVE_KEYS = [*SHOWN, *KEYS, *COSTS, *BY_CLIENT, "task_hash", "reference"]
_CHARGE_COLUMNS = [*SHOWN, "purpose", "cycle", "labels"]


def _metric(text: str) -> float:
    """Return a metric's value: NaN where it has none; a loss may be infinite."""
    if text in ("", "inf", "-inf"):
        return float(text or "nan")
    return read_number(text)


def _share(text: str) -> float:
    share = float("nan") if text == "" else read_number(text)
    if share < -_ROUNDING or share > 1 + _ROUNDING:
        raise ValueError(f"{text} is not between 0 and 1")
    return share


def _metric_reader(name: str) -> Callable[[str], float]:
    metric = current_registry().metrics.known(name)
    return _share if metric is not None and metric.share else _metric


def _seconds(text: str) -> float:
    seconds = read_number(text)
    if not 0 <= seconds <= _MOST_SECONDS:
        raise ValueError(f"{text} seconds are not between 0 and {_MOST_SECONDS:g}")
    return seconds


def _counts(text: str) -> str:
    if not _BY_CLIENT.fullmatch(text):
        raise ValueError(f"{text!r} is no list of numbers")
    return text


def _purpose(text: str) -> str:
    if text not in PURPOSES:
        raise ValueError(f"there is no purpose {text!r}")
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys((*SHOWN, "task_hash"), str),
    **dict.fromkeys((*KEYS, "bytes_up", "bytes_down"), read_count),
    **dict.fromkeys(TIMINGS, _seconds),
    **dict.fromkeys(BY_CLIENT, _counts),
    "seed": read_whole,
    "purpose": _purpose,
    "reference": {"True": True, "False": False}.__getitem__,
}
"""How a value is read, by column; those of other columns are metrics."""


def read_published_curves(path: Path) -> pd.DataFrame:
    """Read ``curves.csv`` to the last bit."""
    curves = _read_text(path)
    if not {*_CURVE_KEYS} <= {*curves.columns} or not {*curves.columns} - NOT_METRICS:
        raise PublicationError(f"{str(path)!r} does not have the columns of curves; restore it.")
    return _values(curves, path)


def read_published_charges(path: Path) -> pd.DataFrame:
    """Read ``charges.csv``."""
    charges = _read_text(path)
    if list(charges.columns) != _CHARGE_COLUMNS:
        raise PublicationError(f"{str(path)!r} does not have the columns of charges; restore it.")
    return _values(charges, path)


def _read_text(path: Path) -> pd.DataFrame:
    text = read_text(path)
    if cells_in(text) > MOST_CELLS:
        raise PublicationError(
            f"{str(path)!r} has more than {MOST_CELLS} values; publish it in parts."
        )
    try:
        # As text: a strategy may be called "NA", and not every reader of numbers keeps all bits.
        return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except ValueError as error:
        raise PublicationError(
            f"Cannot read {str(path)!r} ({one_line(str(error))}); restore it."
        ) from None


def _values(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    for name in table.columns:
        read = _READERS.get(str(name)) or _metric_reader(str(name))
        try:
            texts = table[name].tolist()
            values = {text: read(text) for text in set(texts)}
            table[name] = [values[text] for text in texts]
        except (ValueError, KeyError) as error:
            raise PublicationError(
                f"Cannot read column {name!r} of {str(path)!r} ({error}); restore it."
            ) from None
    return table
