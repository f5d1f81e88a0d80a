"""Arrays in NumPy's ``.npz`` files that anybody may have written: measured before they are read.

A few bytes of such a file can stand for more than the memory holds. What an array takes is known
from its header, which is all that is read at first.
"""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

_SUFFIX: Final = ".npy"

_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""Formats of arrays; the third one is for structured arrays alone."""

_DAMAGED: Final = (
    OSError,
    EOFError,
    RuntimeError,  # it is encrypted, or compressed in an unknown way
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)


class TooLargeError(ValueError):
    """Arrays take more memory than they may.

    Args:
        nbytes: what they take.

    Attributes:
        nbytes: what they take.
    """

    def __init__(self, nbytes: int) -> None:
        super().__init__(f"its arrays take {nbytes} bytes")
        self.nbytes = nbytes


class Archive:
    """An ``.npz`` file.

    Args:
        file: the file, open; it is not closed here.

    Attributes:
        names: the names of its arrays.

    Raises:
        ValueError: it is no such file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        with _damage_named():
            self._zip = zipfile.ZipFile(file)
        members = {one.filename.removesuffix(_SUFFIX): one for one in self._zip.infolist()}
        self.names = tuple(members)
        self._members = members

    def read(self, names: Sequence[str], most: int) -> dict[str, NDArray[Any]]:
        """Read arrays; none of objects, which would run code.

        Args:
            names: some of its arrays.
            most: bytes that they may take together.

        Raises:
            TooLargeError: they take more; nothing is read then.
            ValueError: one is damaged.
        """
        with _damage_named():
            nbytes = sum(self._declared(name) for name in names)
            if nbytes > most:
                raise TooLargeError(nbytes)
            return {name: self._array(name) for name in names}

    def _declared(self, name: str) -> int:
        """Return how many bytes an array takes by its header."""
        member = self._members[name]
        with self._zip.open(member) as file:
            try:
                version = np.lib.format.read_magic(file)
                shape, _, kind = _HEADERS[version](file)
            except Exception:  # NumPy has Python parse it, which fails in many ways
                raise ValueError(f"{name} has no header of an array") from None
            nbytes = math.prod(shape) * kind.itemsize
            if kind.hasobject:
                raise ValueError(f"{name} holds objects")
            if min(shape, default=0) < 0 or nbytes > member.file_size - file.tell():
                raise ValueError(f"{name} is shorter than its shape {shape}")
        return nbytes

    def _array(self, name: str) -> NDArray[Any]:
        with self._zip.open(self._members[name]) as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array


@contextmanager
def _damage_named() -> Iterator[None]:
    """Turn whatever damaged files raise into one error."""
    try:
        yield
    except _DAMAGED as error:
        raise ValueError(str(error) or type(error).__name__) from None
