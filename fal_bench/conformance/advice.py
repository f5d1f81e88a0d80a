"""What to do about errors and hangs, whichever check meets them, and where they come from."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterable
from typing import Any, Final

from fal_bench.conformance.deadline import HangError
from fal_bench.errors import (
    FalbenchError,
    InvalidSpecError,
    PositionError,
    UnknownNameError,
    one_line,
)

_ON_HANG: Final = (
    "Look for a loop that may not end, or make it faster; raise call_timeout if it is only slow."
)
_ON_MEMORY: Final = "Keep less in memory, and free what is no longer used."
NOT_IDS: Final = (
    "Return positions in client.unlabelled, not ids: position i stands for client.unlabelled[i]."
)

_ON_ERROR: Final = "Fix the exception: its last line in the plugin's file is named above."
_ON_FOREIGN_ERROR: Final = (
    "Fix what the exception complains of; none of its lines is in the plugin's file."
)
_ON_SIGNATURE: Final = (
    "Give the method the parameters with which it is called: select(self, client, budget), "
    "select_all(self, federation), losses(self, logits, batch)."
)
_ON_UNKNOWN: Final = (
    "Name what is installed, or what the plugin's own file defines; check the spelling."
)
_OUT_OF_MEMORY: Final = ("not enough memory", "can't allocate memory", "out of memory")


def line_of(frames: Iterable[traceback.FrameSummary], code: Any) -> str:
    """Return the last of some frames that is in the file of a plugin's code, or ``""``.

    Args:
        frames: the innermost last.
        code: the class or function.
    """
    source = inspect.getsourcefile(code)
    own = [frame for frame in frames if frame.filename == source]
    if not own:
        return ""
    file = own[-1].filename.rpartition("/")[2]
    return f"{file}, line {own[-1].lineno}: {own[-1].line}"


def line_of_error(error: BaseException, code: Any) -> str:
    """Return the last line in a plugin's file that an error, or what it came from, passed."""
    for cause in reversed(causes(error)):
        if line := line_of(traceback.extract_tb(cause.__traceback__), code):
            return line
    return ""


def with_line(error: BaseException, code: Any) -> str:
    """Return an error's message with the line of the plugin's file that it comes from."""
    line = line_of_error(error, code)
    said = one_line(str(error))
    if not line:
        return said
    place, _, code_line = line.partition(": ")
    if f"({place})" in said:
        return f"{said.removesuffix('.')}: {code_line}"
    return f"{said.removesuffix('.')}; it was raised at {line}"


def described(error: BaseException, code: Any) -> str:
    """Return the same after the name of the error's class, unless it is about a wrong value."""
    name = "" if isinstance(error, InvalidSpecError) else f"{type(error).__name__}: "
    return f"{name}{with_line(error, code)}"


def advice_on(error: BaseException, code: Any) -> str | None:
    """Return what to do about an error of a plugin; None if the check that failed says it best.

    Args:
        error: what the harness or the plugin raised.
        code: the plugin's class or function.
    """
    if isinstance(error, HangError):
        return _ON_HANG
    origin = causes(error)[-1]
    if isinstance(error, PositionError):
        return NOT_IDS
    if isinstance(origin, UnknownNameError):
        return _ON_UNKNOWN
    if isinstance(origin, FalbenchError):
        return None
    words = str(origin).lower()
    if isinstance(origin, MemoryError) or any(one in words for one in _OUT_OF_MEMORY):
        return _ON_MEMORY
    if line_of_error(error, code):
        return _ON_ERROR
    called_wrongly = isinstance(origin, TypeError) and "argument" in words
    return _ON_SIGNATURE if called_wrongly else _ON_FOREIGN_ERROR


def causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and what it came from, the first cause last."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
