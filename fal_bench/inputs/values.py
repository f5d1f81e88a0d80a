"""Values in selectors and suites: only such as can be stored, shown and computed with."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from fal_bench.errors import shown

MOST_NESTED: Final = 32
"""Lists and tables that may lie in each other."""

_INTEGERS: Final = range(-(2**63), 2**63)
_MOST_DIGITS: Final = 19  # of the integers of 64 bits
_TOO_LARGE: Final = "holds a whole number of more than 64 bits"
_TOO_DEEP: Final = f"is nested more than {MOST_NESTED} deep"

_UNSEEN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of a line
    r"\u2028\u2029\ufeff\ufff9-\ufffb"  # ends of lines and paragraphs, marks
    r"\ud800-\udfff]"  # halves of surrogate pairs: bytes of names that are not UTF-8
)
_LINE_ENDS: Final = str.maketrans("", "", "\t\r\n")


def check_characters(text: str, *, lines: bool = False) -> None:
    """Check that text can be stored, and that a table or a terminal shows it as it is.

    Args:
        text: a name or a value.
        lines: whether it may have several lines.

    Raises:
        ValueError: it holds another character; the message goes on after the text's name.
    """
    found = _UNSEEN.search(text.translate(_LINE_ENDS) if lines else text)
    if found is not None:
        raise ValueError(f"holds the character U+{ord(found[0]):04X}, which cannot be shown")


def check_value(key: str, value: object, *, lines: bool = False) -> None:
    """Check all that a value of JSON or TOML holds, level by level.

    Args:
        key: what it is the value of.
        value: the value.
        lines: whether texts in it may have several lines.

    Raises:
        ValueError: it is nested too deep, or holds an integer beyond 64 bits, a number that is not
            finite, or text that ``check_characters`` refuses; the message begins with the key,
            followed by those that lead to the culprit, as in ``'options.sizes.0'``.
    """
    level = [(key, value)]
    for _ in range(MOST_NESTED + 1):
        for path, one in level:
            try:
                _check_single(one, lines)
            except ValueError as error:
                raise ValueError(f"{shown(path)} {error}") from None
        level = [part for path, one in level for part in _parts(path, one)]
        if not level:
            return
    raise ValueError(f"{shown(key)} {_TOO_DEEP}")


def read_value(key: str, text: str) -> Any:
    """Return what a text means as JSON, or else the text itself.

    Args:
        key: what it is the value of.
        text: what a user typed.

    Raises:
        ValueError: as ``check_value`` does.
    """
    try:
        value = json.loads(text, parse_int=_integer)
    except json.JSONDecodeError:
        value = text
    except (RecursionError, ValueError) as error:
        cause = _TOO_DEEP if isinstance(error, RecursionError) else error
        raise ValueError(f"{shown(key)} {cause}") from None
    check_value(key, value)
    return value


def _integer(text: str) -> int:
    # By its length first: Python refuses to read thousands of digits.
    if len(text.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(_TOO_LARGE)
    return int(text)


def _check_single(value: object, lines: bool) -> None:
    if isinstance(value, str):
        check_characters(value, lines=lines)
    elif isinstance(value, int) and value not in _INTEGERS:
        raise ValueError(_TOO_LARGE)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must be a finite number, not {value}")


def _parts(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from ((path, key) for key in value)
        yield from ((f"{path}.{key}", part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"{path}.{number}", part) for number, part in enumerate(value))
