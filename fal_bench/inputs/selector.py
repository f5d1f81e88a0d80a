"""Selectors: ``name[param=value,...]``, as typed after ``-s`` and written in suite files."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from typing import Any

from fal_bench.errors import InvalidSpecError

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
                    f"Cannot read {text!r}: {key!r} has several values; write param=value."
                )
        return cls(name, {key: values[0] for key, values in grid.items()})

    @classmethod
    def expand(cls, text: str) -> list[Selector]:
        """Read selectors separated by commas, each of which may hold a grid of parameters.

        ``random,logo[n_init=1,2]`` gives ``random``, ``logo[n_init=1]`` and ``logo[n_init=2]``; a
        grid over several parameters gives every combination, the last one changing fastest.

        Raises:
            InvalidSpecError: the text does not have this form.
        """
        selectors = []
        for part in _split(text) or [""]:
            name, grid = _grid(part)
            for values in itertools.product(*grid.values()):
                selectors.append(cls(name, dict(zip(grid, values, strict=True))))
        return selectors

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
            f"Cannot read {text!r}; write a name, or name[param=value,param=value]."
        )
    grid: dict[str, list[Any]] = {}
    for item in _split(match["params"] or ""):
        key, equals, value = (part.strip() for part in item.partition("="))
        if item and grid and (not equals or item[0] in '"[{'):
            grid[list(grid)[-1]].append(_value(item))  # one more value of the parameter before
            continue
        if not equals or not key:
            raise InvalidSpecError(f"Cannot read {item!r} in {text!r}; write param=value.")
        if key in grid:
            raise InvalidSpecError(f"Parameter {key!r} is given twice in {text!r}.")
        grid[key] = [_value(value)]
    return match["name"], grid


def _split(text: str) -> list[str]:
    """Split at the commas that are not inside brackets or quotes."""
    items, depth, quoted, escaped, current = [], 0, False, False, ""
    for char in text:
        if char == '"' and not escaped:
            quoted = not quoted
        elif not quoted:
            depth += (char in "[{") - (char in "]}")
        escaped = quoted and char == "\\" and not escaped
        if char == "," and depth == 0 and not quoted:
            items.append(current)
            current = ""
        else:
            current += char
    if current.strip() or items:
        items.append(current)
    return [item.strip() for item in items]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _text(value: Any) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value) and _value(value) == value:
        return value
    return json.dumps(value, separators=(",", ":"))
