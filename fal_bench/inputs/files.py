"""Reading files that anybody may have put there: bounded, and never through special files.

A pipe would wait for ever, a device may not end, a symbolic link may lead out of a folder that came
from a stranger, and deep JSON or very long integers cost time or a traceback. All are refused here,
in one way.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from fal_bench.errors import FalbenchError

MOST_BYTES: Final = 64 * 1024**2
"""Bytes that are read of a file unless a caller says otherwise."""

MOST_DEPTH: Final = 64
"""Lists and objects of JSON that may lie in each other."""

_TOO_DEEP: Final = f"its JSON is nested more than {MOST_DEPTH} deep"
_MOST_DIGITS: Final = 300  # so that every integer has a finite floating-point number near it

_KINDS: Final[Mapping[int, str]] = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link, which is not followed",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a pipe that takes the file's place now must not block us
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class UnreadableFileError(FalbenchError):
    """A file cannot be read, or is not what it should be.

    Args:
        path: the file.
        cause: what is wrong with it: words that go on after its name and a colon.

    Attributes:
        path: the file.
        cause: what is wrong with it.
    """

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(f"Cannot read {str(path)!r}: {cause}; put a good copy in its place.")
        self.path = path
        self.cause = cause


class MissingFileError(UnreadableFileError):
    """There is no such file."""


@contextmanager
def opened(path: Path, *, most: int = MOST_BYTES, links: bool = False) -> Iterator[IO[bytes]]:
    """Open a regular file for reading while the context is open.

    Args:
        path: the file.
        most: bytes it may have.
        links: whether it may be a symbolic link. A user may name a link; in a folder that came
            from somebody else none is followed.

    Raises:
        MissingFileError: there is none.
        UnreadableFileError: it cannot be read, is no regular file, or is too large.
    """
    try:
        # Looked at before it is opened, since opening alone does something to some devices.
        _check(path, _status(path, links=links), most)
        flags = _FLAGS if links else _FLAGS | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(path, flags), "rb") as file:
            _check(path, os.fstat(file.fileno()), most)
            yield file
    except FileNotFoundError:
        raise MissingFileError(path, "it does not exist") from None
    except OSError as error:
        raise UnreadableFileError(path, (error.strerror or str(error)).lower()) from None


def read_bytes(path: Path, *, most: int = MOST_BYTES, links: bool = False) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file.
        most: bytes it may have.
        links: whether it may be a symbolic link.

    Raises:
        MissingFileError: there is none.
        UnreadableFileError: it cannot be read, is no regular file, or is too large.
    """
    with opened(path, most=most, links=links) as file:
        content = file.read(most + 1)  # it may have grown, or not say its size
    if len(content) > most:
        raise UnreadableFileError(path, _too_large(most))
    return content


def read_text(path: Path, *, most: int = MOST_BYTES, links: bool = False) -> str:
    """Return the text of a regular file in UTF-8, without the byte order mark that it may have.

    Line ends stay as they are.

    Args:
        path: the file.
        most: bytes it may have.
        links: whether it may be a symbolic link.

    Raises:
        MissingFileError: there is none.
        UnreadableFileError: it cannot be read, is no regular file, is too large, or is not UTF-8.
    """
    return decoded(path, read_bytes(path, most=most, links=links))


def read_json(path: Path, *, most: int = MOST_BYTES, links: bool = False) -> Any:
    """Return the value that a regular file holds as JSON.

    Args:
        path: the file.
        most: bytes it may have.
        links: whether it may be a symbolic link.

    Raises:
        MissingFileError: there is none.
        UnreadableFileError: it cannot be read, is no regular file, is too large, or is no JSON
            that ``parsed`` takes.
    """
    return parsed(path, read_bytes(path, most=most, links=links))


def decoded(path: Path, content: bytes) -> str:
    """Return bytes of a file as text, as ``read_text`` does."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            path, f"it is not text in UTF-8 (byte {error.start + 1})"
        ) from None


def parsed(path: Path, content: bytes | str) -> Any:
    """Return the JSON value in bytes or text of a file.

    Refused are, beside what is no JSON: values nested deeper than ``MOST_DEPTH``, very long
    integers, numbers that are not finite, a key that an object has twice, and text with halves of
    surrogate pairs, which nothing can print.

    Args:
        path: where it comes from, for errors.
        content: what is read.

    Raises:
        UnreadableFileError: it is no such JSON.
    """
    text = content if isinstance(content, str) else decoded(path, content)
    try:
        value = _JSON.decode(text)
        _check_values(value)
    except json.JSONDecodeError as error:
        cause = f"it is no JSON (line {error.lineno}, column {error.colno})"
        raise UnreadableFileError(path, cause) from None
    except RecursionError:
        raise UnreadableFileError(path, _TOO_DEEP) from None
    except UnicodeEncodeError:
        raise UnreadableFileError(path, "it holds half of a surrogate pair") from None
    except ValueError as error:
        raise UnreadableFileError(path, str(error)) from None
    return value


def _status(path: Path, *, links: bool) -> os.stat_result:
    try:
        return path.stat() if links else path.lstat()
    except ValueError:  # a null character, say
        raise UnreadableFileError(path, "no file can have this name") from None


def _check(path: Path, found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise UnreadableFileError(path, f"it is {kind}, and should be a file")
    if found.st_size > most:
        raise UnreadableFileError(path, _too_large(most))


def _too_large(most: int) -> str:
    return f"it has more than {most} bytes, the most that are read of it"


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"it holds an integer of more than {_MOST_DIGITS} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("it holds a number that is not finite")
    return number


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"an object in it has the key {twice!r} twice")
    return found


def _check_values(value: Any) -> None:
    """Refuse deep values and text that cannot be printed, level by level."""
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        "".join(_texts(level)).encode()
        level = [part for one in level for part in _parts(one)]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _texts(level: Iterable[Any]) -> Iterator[str]:
    for one in level:
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            yield from one


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


_JSON: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_object
)
