"""Prepared data sets: read once, then mapped into memory.

A prepared data set is a directory of the cache folder with features ready to use, as NumPy files.
They are mapped, not read, so that all workers of a machine share one copy, the one in the system's
page cache. A mapping is private to its process: a process that writes to it, which it should not,
changes its own view only.

Its files are checked whenever it is opened. Reading large files for their checksums at every load
would take longer than the load, so a checksum is computed only if a file's facts have changed
(size, times, inode); the facts of files whose checksum was right are kept beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.data.base import Dataset, Normalisation
from fal_bench.data.clients import GivenClients
from fal_bench.data.folders import CACHE_VARIABLE, current_folders
from fal_bench.data.images import normalisation_of, write_features
from fal_bench.errors import DataError

FORMAT = 5
"""Version of what is stored; after a change everything is prepared again."""

_CHECKSUMS: Final = "checksums.json"
_VOTES: Final = "train_votes.npy"
_SEEN: Final = "seen.json"
"""Facts of the files when their checksums were last right."""

_STEP_NS: Final = 20_000_000
"""Nanoseconds; the clock of local file systems on Linux goes in steps of 10 ms at most."""


@dataclass(frozen=True, eq=False)
class Part:
    """The training or the test part of a data set, before it is normalised.

    Attributes:
        images: pixels, uint8 of shape (n, H, W, C); or features that are left as they are,
            float32 of shape (n, C, H, W).
        labels: classes; shape (n,).
        rows: which row of the source each sample is; shape (n,).
    """

    images: NDArray[Any]
    labels: IntArray
    rows: IntArray

    @classmethod
    def of(cls, images: NDArray[Any], labels: NDArray[Any], rows: IntArray | None = None) -> Part:
        """Return chosen rows of a source, in the given order; all of them if None."""
        labels = labels.astype(np.int64)
        if rows is None:
            return cls(images, labels, np.arange(len(labels)))
        return cls(images[rows], labels[rows], rows)


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as it was read from its files, before it is normalised.

    Attributes:
        train: the training part.
        test: the test part.
        n_classes: number of classes.
        digest: SHA-256 of the content, for data that their name does not identify.
        train_files: the file of each training sample, relative to the data set's folder, where
            every sample has its own.
        clients: the clients that hold the samples, if the data come with clients.
        train_votes: what single raters said of each training sample, if the data come with votes.
    """

    train: Part
    test: Part
    n_classes: int
    digest: str = ""
    train_files: Sequence[str] = ()
    clients: GivenClients | None = None
    train_votes: IntArray | None = None


Reader = Callable[[Path], Source]
"""Reads a data set; may keep temporary files in the directory it is given."""


@dataclass(frozen=True)
class CacheKey:
    """What identifies a prepared data set.

    Attributes:
        name: the data set's name.
        place: parameters and path, as JSON values. A prepared data set replaces an older one of
            the same place.
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
        clients: names of the clients that the data come with; none if they come with none.
    """

    path: Path
    n_classes: int
    digest: str
    normalisation: Normalisation | None
    clients: tuple[str, ...] = ()

    def dataset(self, name: str) -> Dataset:
        """Return the data set; its features are mapped files."""
        import torch

        train, test = (
            (torch.from_numpy(self._map(part)), torch.from_numpy(self._labels(part)))
            for part in ("train", "test")
        )
        return Dataset(
            name,
            *train,
            *test,
            self.n_classes,
            self.normalisation,
            self._owners(),
            train_votes=self._votes(),
        )

    def _map(self, part: str) -> FloatArray:
        # "c" is copy-on-write: PyTorch insists on arrays that could be written.
        mapped: FloatArray = np.load(self.path / f"{part}_features.npy", mmap_mode="c")
        return mapped

    def _owners(self) -> GivenClients | None:
        if not self.clients:
            return None
        test = self.path / "test_clients.npy"
        return GivenClients(
            self.clients,
            np.load(self.path / "train_clients.npy"),
            np.load(test) if test.exists() else None,
        )

    def _votes(self) -> IntArray | None:
        path = self.path / _VOTES
        return np.load(path) if path.exists() else None

    def _labels(self, part: str) -> IntArray:
        labels: IntArray = np.load(self.path / f"{part}_labels.npy")
        return labels


def prepare(key: CacheKey, read: Reader) -> Prepared:
    """Return a prepared data set; it is read and prepared now if it is not there yet.

    If two processes want the same one at once, it is prepared once. A directory appears under its
    name only when it is complete.

    Args:
        key: what identifies it.
        read: reads it.

    Raises:
        DataError: the cache folder cannot be written, or ``read`` says so.
    """
    root = current_folders().cache
    path = root / key.directory_name
    if (found := _open(path)) is not None:
        return found
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{key.place_name}.lock"):
            if (found := _open(path)) is not None:
                return found
            scratch = root / f".{key.place_name}"
            shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
            try:
                _write(scratch, read, key)
                _remove_older(root, key)
                scratch.rename(path)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"Cannot prepare data set {key.name!r} in the cache folder {str(root)!r} "
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


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(found: os.stat_result) -> list[int]:
    """Return what changes whenever a file is written, even if its size and date stay the same.

    Anybody can set a file's date, and archives and copies do. The time of its last change (ctime)
    is set by the system alone. It goes on in steps, so a file that has just been written is given
    time to pass to the next one: what is read of it from now on is what the stamp stands for.

    Args:
        found: what the system says of the file.

    Returns:
        Size in bytes, date and time of the last change in nanoseconds, and number (inode).
    """
    wait = found.st_ctime_ns + _STEP_NS - time.time_ns()
    if 0 < wait <= _STEP_NS:  # longer: another machine's clock, which there is no waiting for
        time.sleep(wait / 1e9)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _write(scratch: Path, read: Reader, key: CacheKey) -> None:
    """Read a data set and write it to ``scratch``."""
    work = scratch / "work"
    work.mkdir(parents=True)
    source = read(work)
    normalisation = None
    if source.train.images.dtype == np.uint8:
        normalisation = normalisation_of(source.train.images)
    for part, content in (("train", source.train), ("test", source.test)):
        with (scratch / f"{part}_features.npy").open("wb") as file:
            write_features(file, content.images, normalisation)
        np.save(scratch / f"{part}_labels.npy", content.labels)
        np.save(scratch / f"{part}_rows.npy", content.rows)
    if source.train_votes is not None:
        np.save(scratch / _VOTES, source.train_votes)
    if source.train_files:
        lines = "".join(f"{name}\n" for name in source.train_files)
        (scratch / "train_files.txt").write_bytes(lines.encode("utf-8", "surrogateescape"))
    facts = {
        "name": key.name,
        "place": key.place,
        "n_classes": source.n_classes,
        "digest": source.digest,
        "normalisation": normalisation and asdict(normalisation),
        "clients": _write_owners(scratch, source.clients),
    }
    (scratch / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    del source  # it may map files that are removed now
    shutil.rmtree(work)
    _seal(scratch)


def _write_owners(scratch: Path, clients: GivenClients | None) -> tuple[str, ...]:
    """Write which client holds which sample, and return the names of the clients."""
    if clients is None:
        return ()
    np.save(scratch / "train_clients.npy", clients.train)
    if clients.test is not None:
        np.save(scratch / "test_clients.npy", clients.test)
    return clients.names


def _open(path: Path) -> Prepared | None:
    """Return what is prepared under a path; None if it is not there or is damaged."""
    try:
        if not _is_intact(path):
            return None
        facts = json.loads((path / "facts.json").read_text(encoding="utf-8"))
        stored = facts["normalisation"]
        prepared = Prepared(
            path,
            int(facts["n_classes"]),
            str(facts["digest"]),
            stored and Normalisation(tuple(stored["mean"]), tuple(stored["deviation"])),
            tuple(map(str, facts["clients"])),
        )
        for part in ("train", "test"):
            if len(prepared._map(part)) != len(prepared._labels(part)):
                return None
        prepared._owners()
        prepared._votes()
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return prepared


def _remove_older(root: Path, key: CacheKey) -> None:
    for path in root.glob(f"{key.place_name}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _short_hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _seal(folder: Path) -> None:
    """Write the checksums of all files of a folder into it."""
    files = [path for path in folder.iterdir() if path.is_file()]
    sums = {path.name: file_checksum(path) for path in files}
    (folder / _CHECKSUMS).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
    _note_facts(folder, _facts(folder, sums))


def _is_intact(folder: Path) -> bool:
    """Whether all files of a sealed folder are there and unchanged.

    Raises:
        OSError: a file is missing or cannot be read.
        ValueError: what is known of the checksums cannot be read.
    """
    sums = json.loads((folder / _CHECKSUMS).read_text(encoding="utf-8"))
    if not (isinstance(sums, dict) and sums):
        return False
    facts, seen = _facts(folder, sums), _seen(folder)
    changed = [name for name in sums if facts[name] != seen.get(name)]
    if any(file_checksum(folder / name) != sums[name] for name in changed):
        return False
    if changed:
        with suppress(OSError):  # a read-only folder: checked again next time
            _note_facts(folder, facts)
    return True


def _facts(folder: Path, names: dict[str, str]) -> dict[str, Any]:
    return {name: stamp((folder / name).stat()) for name in names}


def _seen(folder: Path) -> dict[str, Any]:
    try:
        seen = json.loads((folder / _SEEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return seen if isinstance(seen, dict) else {}


def _note_facts(folder: Path, facts: dict[str, Any]) -> None:
    scratch = folder / f".{_SEEN}.{os.getpid()}"
    scratch.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    scratch.replace(folder / _SEEN)
