"""Writing files so that no reader sees half of one, and so that damage to them is seen later.

A sealed file carries a digest of its own content, its name and the key of its run. A flipped bit, a
lost line, and a file that belongs to another run are seen when it is read. It does not stop people
who compute the digest again: ``falbench verify`` is for that.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

from fal_bench.errors import StoreError
from fal_bench.inputs.files import UnreadableFileError, opened, parsed, read_bytes

MOST_BYTES: Final = 2**32
"""Bytes that a sealed file may have: a checkpoint holds the weights of a network."""

_SEAL: Final = "seal"
_SEAL_LENGTH: Final = 64
_SEAL_FORM: Final = re.compile(rb"[0-9a-f]{64}")
_DAMAGED: Final = "it is damaged, or belongs to another run"


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name beside ``path``, then move it there.

    Args:
        path: the file; an existing one is replaced in one step.
        write: writes the content to an open binary file.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disc does not say where
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically."""
    write_atomically(path, lambda file: file.write(content))


def sealed(name: str, key: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON values with their seal among them.

    Args:
        name: what they are, usually the file's name.
        key: key of the run that they belong to.
        content: the values.
    """
    return {**content, _SEAL: _digest(name, key, _canonical(content))}


def sealed_json(name: str, key: str, content: Mapping[str, Any]) -> bytes:
    """Return JSON values with their seal, as the bytes of a file.

    Args:
        name: the file's name.
        key: key of the run that it belongs to.
        content: the values.

    Raises:
        StoreError: ``read_sealed`` could not read them again.
    """
    text = json.dumps(sealed(name, key, content), indent=2, sort_keys=True) + "\n"
    try:
        parsed(Path(name), text)
    except UnreadableFileError as error:
        raise StoreError(
            f"{name} cannot be stored ({error.cause}); choose other parameters."
        ) from None
    return text.encode()


def write_sealed(path: Path, key: str, content: Mapping[str, Any]) -> None:
    """Write what ``sealed_json`` returns, atomically."""
    write_bytes(path, sealed_json(path.name, key, content))


def read_sealed(path: Path, key: str) -> tuple[dict[str, Any], bool]:
    """Return the JSON values of a file without their seal, and whether they have one.

    Files of earlier versions have none.

    Raises:
        UnreadableFileError: it cannot be read, or the seal is not that of its content.
    """
    return unsealed(path, key, read_bytes(path))


def unsealed(path: Path, key: str, content: bytes) -> tuple[dict[str, Any], bool]:
    """Return what ``read_sealed`` does of a file whose bytes are read already."""
    values = parsed(path, content)
    if not isinstance(values, dict):
        raise UnreadableFileError(path, "it is no JSON object")
    if _SEAL not in values:
        return values, False
    seal = values.pop(_SEAL)
    if seal != _digest(path.name, key, _canonical(values)):
        raise UnreadableFileError(path, _DAMAGED)
    return values, True


def write_sealed_bytes(path: Path, key: str, content: bytes) -> None:
    """Write bytes with their seal behind them, atomically."""
    seal = _digest(path.name, key, content).encode()

    def write(file: IO[bytes]) -> None:
        file.write(content)
        file.write(seal)

    write_atomically(path, write)


def read_sealed_bytes(path: Path, key: str) -> bytes:
    """Return bytes without their seal.

    Raises:
        MissingFileError: there is no such file.
        UnreadableFileError: it cannot be read, or the seal is not that of its content.
    """
    with opened(path, most=MOST_BYTES) as file:
        size = os.fstat(file.fileno()).st_size - _SEAL_LENGTH
        file.seek(max(size, 0))
        seal = file.read()
        if not _SEAL_FORM.fullmatch(seal):  # a large file of something else is not read as a whole
            raise UnreadableFileError(path, _DAMAGED)
        file.seek(0)
        content = file.read(size)
    if seal != _digest(path.name, key, content).encode():
        raise UnreadableFileError(path, _DAMAGED)
    return content


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(name: str, key: str, content: bytes) -> str:
    return sha256_of(b"\n".join((name.encode(), key.encode(), content)))
