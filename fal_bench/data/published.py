"""Published data sets: their files, in the data folder or downloaded to it, and what is read."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from numpy.typing import NDArray

from fal_bench.data.folders import (
    DATA_VARIABLE,
    current_folders,
    data_folder_is_new,
    download_folder,
)
from fal_bench.data.prepared import Part, Source, prepared_names
from fal_bench.data.subset import chosen_rows
from fal_bench.errors import DataError

SECONDS_WITHOUT_DATA = 30.0


@dataclass(frozen=True)
class PublishedFile:
    """One file of a published data set.

    Attributes:
        dataset: name of the data set, for messages.
        filename: the file's name.
        urls: where it can be downloaded, in order of preference.
        md5: its checksum, as published.
    """

    dataset: str
    filename: str
    urls: tuple[str, ...]
    md5: str


def fetch(wanted: PublishedFile, folder: Path) -> Path:
    """Return the path of a file in a folder; download it, with a progress bar, if it is not there.

    A download appears under its name only when it is complete and its checksum is right. A file
    that is there but has another checksum is replaced.

    Args:
        wanted: the file.
        folder: where it lies or goes.

    Raises:
        DataError: it is not there and cannot be downloaded; the message names folder and file.
    """
    from torchvision.datasets.utils import check_integrity

    path = folder / wanted.filename
    try:
        if check_integrity(path, wanted.md5):
            return path
        with _made(folder), FileLock(folder / f".{wanted.filename}.lock"):
            if not check_integrity(path, wanted.md5):
                _download(wanted, path)
    except OSError as error:
        raise DataError(
            f"Data set {wanted.dataset!r}: cannot use the data folder {str(folder)!r} "
            f"({error.strerror or error}); make it usable, or name another by data_dir or "
            f"{DATA_VARIABLE}."
        ) from error
    return path


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder; if the data folder is new, say so and remove it if the download fails."""
    folders, new = current_folders(), data_folder_is_new()
    if new:
        print(
            f"Note: the data folder {str(folders.data)!r}, which {folders.named} names, does not "
            "exist yet; it is made for the download.",
            file=sys.stderr,
            flush=True,
        )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if new:
            for lock in folder.glob(".*.lock"):
                lock.unlink()
            with suppress(OSError):  # another process has put something there
                for made in (folder, *folder.parents):
                    if made.is_relative_to(folders.data):
                        made.rmdir()
        raise


def _download(wanted: PublishedFile, path: Path) -> None:
    from torchvision.datasets.utils import download_url

    scratch = path.parent / f".{wanted.filename}.part"
    failures = []
    for url in wanted.urls:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            with _time_limit():
                download_url(url, scratch, wanted.filename, wanted.md5)
            (scratch / wanted.filename).replace(path)
            return
        except RuntimeError:  # what torchvision raises for a wrong checksum
            failures.append(f"what came from {url} is truncated or another file")
        except OSError as error:
            failures.append(f"{url}: {getattr(error, 'reason', None) or error}")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    there = "is damaged" if path.exists() else "is not there"
    raise DataError(
        f"Data set {wanted.dataset!r}: {str(path)!r} {there} and cannot be downloaded "
        f"({'; '.join(failures)}); put {wanted.filename!r} of {wanted.urls[0]} into the folder "
        f"{str(path.parent)!r}, or name the folder that has it by data_dir or {DATA_VARIABLE}."
    )


@contextmanager
def _time_limit() -> Iterator[None]:
    """Give up on servers that send nothing, while the context is open."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS_WITHOUT_DATA)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def published_source(
    name: str,
    images: Sequence[NDArray[Any]],
    labels: Sequence[NDArray[Any]],
    counts: Sequence[int | None],
) -> Source:
    """Return a published data set from its arrays, whose order must say nothing of the class.

    Args:
        name: its name.
        images: training and test images; shape (n, H, W, C).
        labels: their classes, the largest of which occurs in training.
        counts: how many samples of each part are wanted; None for all.

    Raises:
        InvalidSpecError: there are not as many.
    """
    train, test = (
        Part.of(pixels, classes, chosen_rows(name, part, classes, count))
        for part, pixels, classes, count in zip(
            ("train", "test"), images, labels, counts, strict=True
        )
    )
    return Source(train, test, int(labels[0].max()) + 1)


def published_whereabouts(name: str, *places: str) -> str:
    """Say whether a published data set is on this machine.

    Args:
        name: its name.
        places: files or folders in the data folder; any one of them is enough.
    """
    if name in prepared_names():
        return "ready"
    folder = download_folder()
    for place in places:
        if (folder / Path(place)).exists():
            return f"in {folder / place}"
    return f"not here; the first use downloads it to {folder}"
