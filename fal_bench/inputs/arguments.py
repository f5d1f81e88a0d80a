"""Checks of what callers of the Python functions give: the right kind, and a value of use.

Messages name arguments as Python does, which is also how the command line's options are called.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Literal, cast

from fal_bench.errors import InvalidSpecError, shown
from fal_bench.inputs.limits import MOST_RUNS, MOST_SECONDS, MOST_SEED
from fal_bench.inputs.values import check_characters

_SEEDS = re.compile(r"(?:(?P<first>[0-9]{1,10})-)?(?P<last>[0-9]{1,10})")


def as_whole(name: str, value: object, least: int, most: int | None = None) -> int | None:
    """Return an argument that is a whole number from ``least`` to ``most``; None stays None.

    Raises:
        InvalidSpecError: it is not.
    """
    if value is None:
        return None
    bound = f"of at least {least}"
    if not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least:
        if most is None or int(value) <= most:
            return int(value)
        bound = f"of at most {most}"
    raise InvalidSpecError(f"{name} must be a whole number {bound}, not {shown(value)}.")


def as_seeds(given: object, default: int) -> range:
    """Return the seeds that a number of them, or a range of them, stands for.

    Args:
        given: a number n for the seeds 0 to n - 1; a range of Python; text such as ``"10"`` or
            ``"100-109"``, the last one included; None for the default number.
        default: number of seeds by default.

    Raises:
        InvalidSpecError: it is none of these, empty, or too large.
    """
    if given is None:
        return range(default)
    first, last = 0, -1
    if isinstance(given, range) and given.step == 1:
        first, last = given.start, given.stop - 1
    elif isinstance(given, str) and (match := _SEEDS.fullmatch(given.strip())):
        last = int(match["last"])
        first, last = (0, last - 1) if match["first"] is None else (int(match["first"]), last)
    elif not isinstance(given, bool) and isinstance(given, Integral):
        last = int(given) - 1
    if not 0 <= first <= last:
        raise InvalidSpecError(
            "seeds must be a whole number of at least 1, or a range such as 100-109, not "
            f"{shown(given)}."
        )
    if last >= MOST_SEED or last - first >= MOST_RUNS:
        raise InvalidSpecError(
            f"seeds must be at most {MOST_RUNS} seeds below {MOST_SEED}, not {shown(given)}."
        )
    return range(first, last + 1)


def check_seconds(name: str, value: object) -> None:
    """Check that an argument is a number of seconds.

    Raises:
        InvalidSpecError: it is not.
    """
    number = not isinstance(value, bool) and isinstance(value, Real)
    if number and cast("float", value) > MOST_SECONDS:
        raise InvalidSpecError(
            f"{name} must be at most {MOST_SECONDS} seconds, not {shown(value)}."
        )
    if not (number and cast("float", value) > 0):
        raise InvalidSpecError(f"{name} must be a number of seconds above 0, not {shown(value)}.")


def check_text(name: str, value: object) -> None:
    """Check that an argument is text that says something, or None.

    Raises:
        InvalidSpecError: it is not.
    """
    if value is not None and not (isinstance(value, str) and value.strip()):
        raise InvalidSpecError(f"{name} must be a name, not {shown(value)}.")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Check that an argument is one of several words.

    Raises:
        InvalidSpecError: it is not.
    """
    if value not in choices:
        listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
        raise InvalidSpecError(f"{name} must be {listed}, not {shown(value)}.")


def as_path(name: str, value: object) -> Path:
    """Return an argument that is the path of a file or folder.

    Raises:
        InvalidSpecError: it is not, is empty, or has a name that no page or table could show.
    """
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise InvalidSpecError(
            f"{name} must be a path, not {shown(value)}; '.' is the working folder."
        )
    try:
        check_characters(str(value))
    except ValueError as error:
        raise InvalidSpecError(f"{name}: {shown(str(value))} {error}; rename it.") from None
    return Path(value)


def as_several(name: str, value: object) -> tuple[object, ...]:
    """Return an argument that is one path or plugin, or several; texts become paths.

    Raises:
        InvalidSpecError: a path is empty, or nothing but a number or the like is given.
    """
    if isinstance(value, str | os.PathLike):
        return (as_path(name, value),)
    if isinstance(value, type) or callable(value):
        return (value,)
    if not isinstance(value, Iterable):
        raise InvalidSpecError(f"{name} must be a path or a list of paths, not {shown(value)}.")
    each = f"each of {name}"
    plain = (str, os.PathLike)
    return tuple(as_path(each, one) if isinstance(one, plain) else one for one in value)


def as_names(name: str, value: object) -> tuple[str, ...] | None:
    """Return an argument that is one name, or several; None stays None.

    Raises:
        InvalidSpecError: it is neither.
    """
    if value is None:
        return None
    several = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else value
    names = tuple(several)
    for one in names:
        if not isinstance(one, str):
            raise InvalidSpecError(f"{name} must be names, not {shown(one)}.")
    return names


Notify = Callable[[Literal["note", "warning"], str], None]
"""Tells a user a note or a warning: a sentence."""


def warn(kind: Literal["note", "warning"], text: str) -> None:  # noqa: ARG001
    """Tell a user something as Python does."""
    warnings.warn(text, stacklevel=3)
