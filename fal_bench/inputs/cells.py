"""Cells of tables: what names and numbers may look like, whatever table they stand in."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from fal_bench.errors import one_line

LONGEST_NAME: Final = 200
"""Characters that a name in a table from elsewhere may have."""

MOST_CELLS: Final = 3_000_000
"""Cells of a table that is read; all of them are held in memory at once."""

MOST_DIGITS: Final = 100
"""Digits that a whole number in a table may have."""

LARGEST_COUNT: Final = 2**53
"""Up to here every whole number is exact among floats."""

_FORMULA: Final = ("=", "+", "-", "@")
"""How a cell begins that a spreadsheet runs instead of showing it."""

_NOT_FINITE: Final = ("nan", "inf", "infinity")
_WHOLE = re.compile(r"([0-9]+)(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def fault_of_name(text: str) -> str:
    """Say why a text cannot be a name in a table; empty if it can.

    Control characters, halves of surrogate pairs and characters that turn the direction of text
    would change how a line looks; some first characters make a spreadsheet run the cell.
    """
    if not text.isprintable():
        return "a name must be printable, without control characters"
    if text.startswith(_FORMULA):
        return f"a name cannot begin with {text[0]!r}, which a spreadsheet takes for a formula"
    return ""


def read_name(text: str) -> str:
    """Return a name from a table that was written by others.

    Raises:
        ValueError: it cannot be one; the message says why.
    """
    if len(text) > LONGEST_NAME:
        raise ValueError(f"a name can have at most {LONGEST_NAME} characters")
    if fault := fault_of_name(text):
        raise ValueError(fault)
    return text


def twins(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ in case, in blanks, or in how a letter is encoded.

    "North " and "north" are probably one client that two people wrote down. Which is right only
    the owner of the data knows, so that such names are refused, and never corrected.

    Args:
        names: the names; equal ones are one name.
    """
    first: dict[str, str] = {}
    for name in names:
        alike = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        if first.setdefault(alike, name) != name:
            return first[alike], name
    return None


def cells_in(text: str) -> int:
    """Return about how many cells a text of CSV has, before it costs memory to read them."""
    return (text.partition("\n")[0].count(",") + 1) * (text.count("\n") + 1)


def guarded(cell: str) -> str:
    """Return a text cell as it is written: on one line, and never run by a spreadsheet.

    An apostrophe keeps a spreadsheet from running what looks like a formula.
    """
    shown = cell if cell.isprintable() else one_line(cell)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def read_whole(text: str) -> int:
    """Return a whole number of at least 0, exactly, whatever its size.

    Spreadsheets and pandas write 100.0 for 100 beside an empty cell, which is read, too.

    Raises:
        ValueError: it is none, or has more than ``MOST_DIGITS`` digits.
    """
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:LONGEST_NAME]!r} is not a whole number of at least 0")
    if len(match[1]) > MOST_DIGITS:
        raise ValueError(f"a number of {len(match[1])} digits is too large")
    return int(match[1])


def read_count(text: str) -> int:
    """Return a whole number that a float holds exactly, since counts stand beside missing values.

    Raises:
        ValueError: it is none, or too large.
    """
    count = read_whole(text)
    if count > LARGEST_COUNT:
        raise ValueError(f"{text} is too large")
    return count


def read_number(text: str) -> float:
    """Return a finite number.

    Raises:
        ValueError: it is none.
    """
    if not _NUMBER.fullmatch(text):
        kind = "a finite number" if text.strip("+-").lower() in _NOT_FINITE else "a number"
        raise ValueError(f"{text[:LONGEST_NAME]!r} is not {kind}")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:LONGEST_NAME]!r} is not a finite number")
    return value
