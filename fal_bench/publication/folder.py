"""The folder of published results: files, and a record that vouches for them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fal_bench.errors import PublicationError
from fal_bench.publication.record import FILE, Record

LEADERBOARD = "leaderboard.csv"
CURVES = "curves.csv"
CHARGES = "charges.csv"
FILES = (LEADERBOARD, CURVES, CHARGES, "leaderboard.html")
"""The files besides ``provenance.json``."""

_WITHOUT_CHARGES = 1
"""The format that had no ``charges.csv``."""


@dataclass(frozen=True)
class FileState:
    """What became of a published file.

    Attributes:
        name: its name.
        state: whether its content is the one that was published.
    """

    name: str
    state: Literal["same", "changed", "missing"]


def is_published(folder: Path) -> bool:
    """Whether a folder holds published results."""
    return (folder / FILE).is_file()


def file_states(folder: Path, record: Record) -> tuple[FileState, ...]:
    """Compare the files of a folder with their checksums.

    Raises:
        PublicationError: the record does not hold the checksums of exactly these files.
    """
    names = [name for name in FILES if name != CHARGES or has_charges(record)]
    if sorted(record.files) != sorted(names):
        raise PublicationError(
            f"{FILE} in {str(folder)!r} must hold the SHA-256 of {', '.join(names)}, and of "
            "nothing else; restore it, or publish again."
        )
    return tuple(FileState(name, _state(folder / name, record.files[name])) for name in names)


def has_charges(record: Record) -> bool:
    """Whether the results were published with ``charges.csv``."""
    return record.format > _WITHOUT_CHARGES


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files besides ``provenance.json``, by name."""
    return {name: _sha256(folder / name) for name in FILES}


def check_target(folder: Path) -> None:
    """Check that results may be published in a folder, new, empty, or published before.

    Raises:
        PublicationError: it holds other files, or is none.
    """
    if folder.exists() and not folder.is_dir():
        raise PublicationError(f"{str(folder)!r} is a file; name a folder with --to.")
    if not folder.exists():
        return
    others = sorted({path.name for path in folder.iterdir()} - {*FILES, FILE})
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise PublicationError(
            f"{str(folder)!r} holds other files ({others[0]}{more}); name an empty or new folder "
            "with --to."
        )


def _state(path: Path, published: str) -> Literal["same", "changed", "missing"]:
    if not path.is_file():
        return "missing"
    return "same" if _sha256(path) == published else "changed"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
