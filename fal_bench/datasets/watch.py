"""Shoulder exercises seen by a smartwatch: time series of ten people."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.data.base import Dataset
from fal_bench.data.clients import GivenClients
from fal_bench.data.prepared import CacheKey, Part, Source, file_checksum, prepare
from fal_bench.data.subset import chosen_rows
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.plugins.functions import dataset

_NAME = "watch"

WINDOW: Final = 100
"""Steps of a sample: two seconds."""

STRIDE: Final = WINDOW // 2

_TEST_SHARE: Final = 0.2
"""The last part of each recording, if people are not held out."""

_PEOPLE: Final = tuple(range(1, 11))

_SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
"""Of the file in the package, which is a pickle: nothing else is ever unpickled."""

Person = Annotated[int, Field(ge=1, le=10)]


def _whereabouts() -> str:
    if find_spec("seglearn"):
        return "in the package seglearn"
    return "not here; pip install 'falbench[seglearn]'"


@dataset(whereabouts=_whereabouts)
def load_watch(test_people: tuple[Person, ...] = ()) -> Dataset:
    """Load series of six sensors in seven shoulder exercises of ten people, who are the clients.

    A sample is two seconds at 50 Hz, shape (6, 1, 100): acceleration and rotation. Windows of one
    recording overlap by half; none lies in both parts. Each sensor has mean 0 and standard
    deviation 1 over the training samples. Source: Burns et al., "Shoulder physiotherapy exercise
    recognition", Physiological Measurement 39, 2018; from the package seglearn.

    Args:
        test_people: people from 1 to 10 whose recordings are the test part; without any, it is the
            last fifth of each recording.

    Raises:
        DataError: the package is not installed, or its file is another one.
        InvalidSpecError: no client is left to train on.
    """
    if not set(_PEOPLE) - set(test_people):
        raise InvalidSpecError(
            f"Data set {_NAME!r}: test_people leaves out all people; name fewer."
        )
    held_out = tuple(sorted(set(test_people)))
    key = CacheKey(_NAME, {"test_people": held_out}, _SHA256)
    return prepare(key, partial(_read, held_out)).dataset(_NAME)


def _read(held_out: tuple[int, ...], scratch: Path) -> Source:  # noqa: ARG001
    recordings = _recordings()
    people = np.asarray(recordings["subject"], dtype=np.int64)
    exercises = np.asarray(recordings["y"], dtype=np.int64)
    pieces: dict[str, list[tuple[FloatArray, int, int]]] = {"train": [], "test": []}
    for values, person, exercise in zip(recordings["X"], people, exercises, strict=True):
        cut = round((1 - _TEST_SHARE) * len(values))
        if held_out:
            cut = 0 if person in held_out else len(values)
        for part, span in (("train", values[:cut]), ("test", values[cut:])):
            for start in range(0, len(span) - WINDOW + 1, STRIDE):
                pieces[part].append((span[start : start + WINDOW].T, int(exercise), int(person)))
    windows = {part: np.stack([one[0] for one in found]) for part, found in pieces.items()}
    mean = windows["train"].mean((0, 2), keepdims=True)
    deviation = windows["train"].std((0, 2), keepdims=True)
    parts, owners = [], []
    for part, found in pieces.items():
        labels = np.array([one[1] for one in found])
        rows = chosen_rows(_NAME, part, labels, None, shuffle=True)
        scaled = ((windows[part] - mean) / deviation).astype(np.float32)
        parts.append(Part.of(scaled[:, :, None], labels, rows))
        owners.append(np.array([one[2] for one in found])[rows])
    train, test = parts
    clients = GivenClients.named(_names(owners[0]), None if held_out else _names(owners[1]))
    return Source(train, test, int(exercises.max()) + 1, clients=clients)


def _names(people: IntArray) -> NDArray[Any]:
    return np.array([f"person {person:02d}" for person in people])


def _recordings() -> dict[str, Any]:
    """Return the content of the package's file: ``X``, ``y`` and ``subject``, one a recording.

    Raises:
        DataError: it is not there, or is another file.
    """
    path = _file()
    if path is None or not path.is_file():
        raise DataError(
            f"Data set {_NAME!r}: its recordings are in the package seglearn, which is not "
            "installed; run pip install 'falbench[seglearn]'."
        )
    if file_checksum(path) != _SHA256:
        raise DataError(
            f"Data set {_NAME!r}: {str(path)!r} is not the file that is known; install seglearn "
            "1.2.5 again."
        )
    content: dict[str, Any] = np.load(path, allow_pickle=True).item()
    return content


def _file() -> Path | None:
    # Importing the package would import much of scikit-learn.
    found = find_spec("seglearn")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "data" / "watch_dataset.npy"
