"""Prepared data sets: read once, then mapped into memory.

A prepared data set is a directory of the cache folder with features ready to use, as NumPy files.
They are mapped and not read, so that all workers of a machine share one copy, the one in the
system's page cache. A mapping is private to its process: whoever writes to it in spite of the
agreement changes his own view only.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from fal_bench.data.base import Normalisation
from fal_bench.data.folders import CACHE_VARIABLE, current_folders
from fal_bench.data.images.integrity import is_intact, seal
from fal_bench.data.images.normalising import normalisation, write_features
from fal_bench.data.images.source import Source
from fal_bench.errors import DataError

if TYPE_CHECKING:
    from fal_bench.data.base import Dataset

FORMAT = 2
"""Version of what is stored; another one prepares everything anew."""

Reader = Callable[[Path], Source]
"""Reads a data set; may keep temporary files in the directory it is given."""


@dataclass(frozen=True)
class Label:
    """What a prepared data set is known by.

    Attributes:
        name: the data set's name.
        place: what stays when the data change: parameters and path, as JSON values. A prepared
            data set replaces an older one of the same place.
        state: what changes with the data, as a JSON value; None for data that never do.
    """

    name: str
    place: dict[str, Any]
    state: Any = None

    @property
    def place_name(self) -> str:
        """Beginning of the directory's name."""
        return f"{self.name}-{_short_hash(self.place)}"

    @property
    def directory_name(self) -> str:
        """The directory's name."""
        return f"{self.place_name}-{_short_hash([FORMAT, self.state])}"


@dataclass(frozen=True)
class Prepared:
    """A prepared data set.

    Attributes:
        path: its directory. ``train_rows.npy`` and ``test_rows.npy`` there say which row of the
            source each sample is, ``train_files.txt`` from which file it comes.
        n_classes: number of classes.
        digest: SHA-256 of the content, for data that their name does not identify.
        normalisation: how the features came from pixels; None if they are as in the source.
    """

    path: Path
    n_classes: int
    digest: str
    normalisation: Normalisation | None

    def dataset(self, name: str) -> Dataset:
        """Return the data set; its features are mapped files."""
        import torch

        from fal_bench.data.base import Dataset

        train, test = (
            (torch.from_numpy(self._map(part)), torch.from_numpy(self._labels(part)))
            for part in ("train", "test")
        )
        return Dataset(name, *train, *test, self.n_classes, self.normalisation)

    def _map(self, part: str) -> NDArray[np.float32]:
        # "c" is copy-on-write: PyTorch insists on arrays that could be written.
        mapped: NDArray[np.float32] = np.load(self.path / f"{part}_features.npy", mmap_mode="c")
        return mapped

    def _labels(self, part: str) -> NDArray[np.int64]:
        labels: NDArray[np.int64] = np.load(self.path / f"{part}_labels.npy")
        return labels


def prepare(label: Label, read: Reader) -> Prepared:
    """Return a prepared data set; it is read and prepared now if it is not there yet.

    Two processes that want the same one at the same time prepare it once. A directory appears
    under its name only when it is complete.

    Args:
        label: what it is known by.
        read: reads it.

    Raises:
        DataError: the cache folder cannot be written, or ``read`` says so.
    """
    root = current_folders().cache
    path = root / label.directory_name
    if (found := _open(path)) is not None:
        return found
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{label.place_name}.lock"):
            if (found := _open(path)) is not None:
                return found
            scratch = root / f".{label.place_name}"
            shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
            try:
                _write(scratch, read, label)
                _remove_older(root, label)
                scratch.rename(path)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"Cannot prepare data set {label.name!r} in the cache folder {str(root)!r} "
            f"({error.strerror or error}); make room there, or name another folder by the "
            f"environment variable {CACHE_VARIABLE}."
        ) from error
    ready = _open(path)
    assert ready is not None
    return ready


def prepared_names() -> set[str]:
    """Return the names of the data sets of which something is prepared on this machine."""
    root = current_folders().cache
    if not root.is_dir():
        return set()
    paths = [path.name for path in root.iterdir() if not path.name.startswith(".")]
    return {name.rsplit("-", 2)[0] for name in paths}


def _write(scratch: Path, read: Reader, label: Label) -> None:
    """Read a data set and write it to ``scratch``."""
    work = scratch / "work"
    work.mkdir(parents=True)
    source = read(work)
    how = None
    if source.train.images.dtype == np.uint8:
        how = normalisation(source.train.images)
    for part, content in (("train", source.train), ("test", source.test)):
        with (scratch / f"{part}_features.npy").open("wb") as file:
            write_features(file, content.images, how)
        np.save(scratch / f"{part}_labels.npy", content.labels)
        np.save(scratch / f"{part}_rows.npy", content.rows)
    if source.train_files:
        lines = "".join(f"{name}\n" for name in source.train_files)
        (scratch / "train_files.txt").write_text(lines, encoding="utf-8")
    facts = {
        "name": label.name,
        "place": label.place,
        "n_classes": source.n_classes,
        "digest": source.digest,
        "normalisation": how and asdict(how),
    }
    (scratch / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    del source  # it may map files that are removed now
    shutil.rmtree(work)
    seal(scratch)


def _open(path: Path) -> Prepared | None:
    """Return what is prepared under a path; None if it is not there or is damaged."""
    try:
        if not is_intact(path):
            return None
        facts = json.loads((path / "facts.json").read_text(encoding="utf-8"))
        how = facts["normalisation"]
        prepared = Prepared(
            path,
            int(facts["n_classes"]),
            str(facts["digest"]),
            how and Normalisation(tuple(how["mean"]), tuple(how["deviation"])),
        )
        for part in ("train", "test"):
            if len(prepared._map(part)) != len(prepared._labels(part)):
                return None
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return prepared


def _remove_older(root: Path, label: Label) -> None:
    for path in root.glob(f"{label.place_name}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _short_hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
