"""Selectors: ``name[param=value,...]``, as typed after ``-s`` and written in suite files."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fal_bench.errors import InvalidSpecError, shown
from fal_bench.inputs.limits import MOST_STRATEGIES
from fal_bench.inputs.values import check_value, read_value

_SELECTOR = re.compile(r"(?P<name>[^\[\]\s,]+)\s*(?:\[(?P<params>.*)\])?", re.DOTALL)

_BARE = re.compile(r'[^\s,\[\]{}"]+')


@dataclass(frozen=True)
class Selector:
    """A plugin's name together with the parameters given to it.

    Attributes:
        name: the plugin's name.
        params: the parameters that were given; the others keep their defaults.
    """

    name: str
    params: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read ``name`` or ``name[a=1,b=text]``; values are JSON where they can be, else text.

        Raises:
            InvalidSpecError: the text does not have this form.
        """
        name, grid = _grid(text)
        for key, values in grid.items():
            if len(values) > 1:
                raise InvalidSpecError(
                    f"Cannot read {shown(text)}: {shown(key)} has several values; write "
                    "param=value."
                )
        return cls(name, {key: values[0] for key, values in grid.items()})

    @classmethod
    def expand(cls, *texts: str) -> list[Selector]:
        """Read selectors separated by commas, each of which may hold a grid of parameters.

        ``random,logo[n_init=1,2]`` gives ``random``, ``logo[n_init=1]`` and ``logo[n_init=2]``; a
        grid over several parameters gives every combination, the last one changing fastest.

        Raises:
            InvalidSpecError: a text does not have this form, or there are too many selectors.
        """
        grids = [_grid(part) for text in texts for part in _split(text) or [""]]
        count = sum(math.prod(map(len, grid.values())) for _, grid in grids)
        if count > MOST_STRATEGIES:
            raise InvalidSpecError(
                f"{shown(','.join(texts))} stands for {count} strategies, and a comparison takes "
                f"at most {MOST_STRATEGIES}; name fewer values of the parameters."
            )
        return [
            cls(name, dict(zip(grid, values, strict=True)))
            for name, grid in grids
            for values in itertools.product(*grid.values())
        ]

    def __str__(self) -> str:
        if not self.params:
            return self.name
        items = (f"{key}={_text(value)}" for key, value in sorted(self.params.items()))
        return f"{self.name}[{','.join(items)}]"


def can_be_typed(name: str) -> bool:
    """Whether a name means itself where a selector is read."""
    try:
        return Selector.parse(name) == Selector(name)
    except InvalidSpecError:
        return False


def _grid(text: str) -> tuple[str, dict[str, list[Any]]]:
    """Read a name and the values of each parameter."""
    match = _SELECTOR.fullmatch(text.strip())
    if match is None:
        raise InvalidSpecError(
            f"Cannot read {shown(text)}; write a name, or name[param=value,param=value]."
        )
    grid: dict[str, list[Any]] = {}
    try:
        check_value(match["name"], match["name"])
        for key, value in _items(match["params"] or "", text):
            grid.setdefault(key, []).append(read_value(key, value))
    except ValueError as error:
        raise InvalidSpecError(f"Cannot use {shown(text)}: {error}.") from None
    return match["name"], grid


def _items(params: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield each value of each parameter, still as text, with the parameter's name."""
    seen: set[str] = set()
    before = ""
    for item in _split(params):
        key, equals, value = (part.strip() for part in item.partition("="))
        if item and before and (not equals or item[0] in '"[{'):
            yield before, item  # one more value of it
            continue
        if not equals or not key:
            raise InvalidSpecError(
                f"Cannot read {shown(item)} in {shown(text)}; write param=value."
            )
        if key in seen:
            raise InvalidSpecError(f"Parameter {shown(key)} is given twice in {shown(text)}.")
        seen.add(key)
        before = key
        yield key, value


def _split(text: str) -> list[str]:
    """Split at the commas that are not inside brackets or quotes."""
    items, depth, quoted, escaped, start = [], 0, False, False, 0
    for position, char in enumerate(text):
        if char == '"' and not escaped:
            quoted = not quoted
        elif not quoted:
            depth += (char in "[{") - (char in "]}")
        escaped = quoted and char == "\\" and not escaped
        if char == "," and depth == 0 and not quoted:
            items.append(text[start:position])
            start = position + 1
    if text[start:].strip() or items:
        items.append(text[start:])
    return [item.strip() for item in items]


def _text(value: Any) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value) and _is_text(value):
        return value
    return json.dumps(value, separators=(",", ":"))


def _is_text(text: str) -> bool:
    """Whether text without quotes is read as itself."""
    try:
        return bool(read_value("", text) == text)
    except ValueError:
        return False
