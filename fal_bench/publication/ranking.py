"""Whether a published leaderboard follows from the published curves."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fal_bench.errors import PublicationError
from fal_bench.publication.charges import no_charges
from fal_bench.publication.evidence import evidence_of
from fal_bench.publication.record import Record
from fal_bench.report.answer import answer
from fal_bench.report.export import to_csv

_RTOL = 1e-9
"""Of numbers: sums may round otherwise with other versions of NumPy."""


def leaderboard_difference(record: Record, curves: pd.DataFrame, path: Path) -> str:
    """Rank the published curves anew, and say where the result differs from ``leaderboard.csv``.

    Args:
        record: the provenance, with the question that was asked.
        curves: the published curves.
        path: ``leaderboard.csv``.

    Returns:
        The first difference; empty if there is none.

    Raises:
        PublicationError: the file is no table.
    """
    try:
        published = _read(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PublicationError(f"Cannot read {str(path)!r} ({error}); restore it.") from None
    try:
        anew = _read(to_csv(_rank(record, curves)))
    except ValueError as error:
        return f"the curves cannot be ranked ({error})"
    return _first_difference(published, anew)


def _rank(record: Record, curves: pd.DataFrame) -> pd.DataFrame:
    return answer(record.question, evidence_of(record, curves, no_charges())).leaderboard


def _read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def _first_difference(published: pd.DataFrame, anew: pd.DataFrame) -> str:
    if list(published.columns) != list(anew.columns):
        return "it has other columns"
    if len(published) != len(anew):
        return f"{len(published)} rows published, {len(anew)} ranked anew"
    for place in range(len(anew)):
        for column in anew.columns:
            there, here = published[column].iloc[place], anew[column].iloc[place]
            if not _agree(there, here):
                name = anew["strategy"].iloc[place]
                return f"{name}, {column}: {there} published, {here} ranked anew"
    return ""


def _agree(there: Any, here: Any) -> bool:
    try:
        return bool(np.isclose(float(there), float(here), rtol=_RTOL, atol=0, equal_nan=True))
    except ValueError:  # text
        return bool(there == here)
