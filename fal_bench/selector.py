"""Selectors: ``name[param=value,...]``, as typed after ``-s`` and written in suite files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from fal_bench.errors import InvalidSpecError

_SELECTOR = re.compile(r"(?P<name>[^\[\]\s]+)\s*(?:\[(?P<params>.*)\])?", re.DOTALL)

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
        match = _SELECTOR.fullmatch(text.strip())
        if match is None:
            raise InvalidSpecError(
                f"Cannot read {text!r}; write a name, or name[param=value,param=value]."
            )
        params: dict[str, Any] = {}
        for item in _split(match["params"] or ""):
            key, equals, value = item.partition("=")
            if not equals or not key.strip():
                raise InvalidSpecError(f"Cannot read {item!r} in {text!r}; write param=value.")
            if key.strip() in params:
                raise InvalidSpecError(f"Parameter {key.strip()!r} is given twice in {text!r}.")
            params[key.strip()] = _value(value.strip())
        return cls(match["name"], params)

    def __str__(self) -> str:
        if not self.params:
            return self.name
        items = (f"{key}={_text(value)}" for key, value in sorted(self.params.items()))
        return f"{self.name}[{','.join(items)}]"


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
