"""The errors a user can cause.

Each message is one sentence that says what is wrong and what to do about it; the command line
prints it without a traceback and exits with code 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b.")


def one_line(text: str) -> str:
    """Return text on one line, without escape sequences and what else cannot be printed.

    Text from a plugin or a file must neither break a table apart, nor command the terminal, nor
    turn the direction of what stands around it.
    """
    plain = _ESCAPES.sub("", text)
    return " ".join("".join(c if c.isprintable() else " " for c in plain).split())


_SHOWN = 200


def shown(value: object) -> str:
    """Return a user's value as messages show it: printable, and short enough for a sentence."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or nested too deep for Python
        return f"a value of type {type(value).__name__} that is too large to be shown"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class FalbenchError(Exception):
    """Base class of every error that a user can cause. All of them can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, vars(self))


def _rebuilt(kind: type[FalbenchError], args: tuple[Any, ...], more: dict[str, Any]) -> Any:
    """Return an error as it was, though its class is made from other arguments."""
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(more)
    return error


def message_of(error: BaseException, code: Any = None) -> str:
    """Return what an error says, on one line; its kind comes first unless it is one of ours.

    Args:
        error: the error.
        code: a plugin's class or function; the last line of its file that the error passed is
            named at the end.
    """
    said = one_line(str(error))
    kind = "" if isinstance(error, FalbenchError) else type(error).__name__
    said = ": ".join(part for part in (kind, said) if part)
    place = "" if code is None else place_of(error, code)
    return f"{said} ({place})" if place else said


def place_of(error: BaseException, code: Any) -> str:
    """Return the last line that an error passed in the file of a class or function, or ``""``."""
    import inspect  # here, so that help is quick
    import traceback

    source = inspect.getsourcefile(code)
    steps = traceback.walk_tb(error.__traceback__)
    own = [line for frame, line in steps if frame.f_code.co_filename == source]
    return f"{source.rpartition('/')[2]}, line {own[-1]}" if source and own else ""


class UnknownNameError(FalbenchError):
    """A strategy, task, suite or data set of that name does not exist.

    Args:
        kind: what was looked up, for example ``"strategy"``.
        name: the name that was asked for.
        known: the names that exist; the nearest one is suggested.
        hint: what to say instead of a suggestion.
        file: the option that names a file with more of them, if there is one.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], hint: str = "", file: str = ""
    ) -> None:
        import difflib  # here, so that help is quick

        names = sorted(known)
        near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
        if not hint:
            hint = f"did you mean {near[0]!r}?" if near else f"choose from: {', '.join(names)}."
        if file:
            hint += f" One of your own needs {file}."
        super().__init__(f"Unknown {kind} {shown(name)}; {hint}")


class InvalidSpecError(FalbenchError):
    """A task, suite, parameter or option has a value that cannot be used."""


class PluginError(FalbenchError):
    """A plugin cannot be loaded, or broke its contract while running."""


class PositionError(PluginError):
    """A strategy selects what is no position in its client's pool."""


class MemoryContentError(PluginError):
    """A strategy keeps something in its memory that cannot be stored."""


class AllotmentError(PluginError):
    """A strategy's server breaks the limits within which it may divide labels over clients."""


class CoordinationError(PluginError):
    """A coordinated strategy leaves clients out, or sends what is no array."""


class NeedsError(PluginError):
    """A strategy's ``needs`` is no set of needs."""


class UndeclaredNeedError(PluginError):
    """A strategy touched a costly input that it does not declare in ``needs``."""


class LabelAccessError(PluginError):
    """A label was asked for that may not be read, or that has not been bought."""


class ExternalCurvesError(FalbenchError):
    """A file of curves measured elsewhere cannot be used."""


class DivergedError(FalbenchError):
    """Training left the finite numbers."""


class StoreError(FalbenchError):
    """The results folder cannot be used."""


class PublicationError(FalbenchError):
    """Results cannot be published, or published ones cannot be verified here."""


class DataError(FalbenchError):
    """Data or pre-trained weights are missing or damaged, or cannot be kept on this machine."""
