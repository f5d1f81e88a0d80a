"""What pydantic finds wrong, in plain words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from fal_bench.errors import shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "a table",
    "model": "a table",
    "none": "left out",
}
_SHORT = 40
"""Characters up to which a value is written out once more, as it should be."""

_LIMITS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "string_pattern_mismatch": "text of the form {pattern}",
    "too_short": "at least {min_length} long",
    "string_too_short": "at least {min_length} characters long",
    "too_long": "at most {max_length} long",
    "literal_error": "{expected}",
}


def explained(error: ValidationError, model: type[BaseModel] | None = None) -> tuple[str, str]:
    """Return where the first thing that is wrong is, and what is wrong with it.

    Args:
        error: what pydantic found.
        model: what was read; names the keys that an unknown one may have meant.

    Returns:
        A key, with those above it before it as in ``"partition.alpha"``, empty for the whole; and
        words that go on after "is wrong: ".
    """
    first = error.errors()[0]
    keys, known, named = _walk(first["loc"], model)
    return ".".join(keys), _plain(first, keys, known, named)


def sentence(words: str) -> str:
    """Return words with the stop that ends a sentence, unless they end with one."""
    return words if words.endswith(("?", ".")) else f"{words}."


def nearest(key: str, known: Iterable[str]) -> str:
    """Return words that suggest what an unknown key may have meant."""
    names = list(known)
    near = difflib.get_close_matches(key, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(names)}" if names else "there are none"


def _plain(error: ErrorDetails, keys: list[str], known: list[str], named: bool) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(keys[-1], known)}"
    if kind == "missing":
        return "it is needed, and missing"
    if kind == "union_tag_not_found":
        return "it needs a key 'kind'"
    if kind == "union_tag_invalid":
        return f"its kind must be one of {context['expected_tags']}, not {shown(context['tag'])}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"]))
    wanted = _wanted(kind, context)
    if wanted:
        example = _example(kind, error["input"], named)
        return f"it must be {wanted}, not {shown(error['input'])}{example}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}"


def _wanted(kind: str, context: Mapping[str, Any]) -> str | None:
    if kind in _LIMITS:
        return _LIMITS[kind].format(**context)
    return _KINDS.get(kind.split("_")[0])


def _example(kind: str, value: object, named: bool) -> str:
    """Return words that show how a plain value is written where a list, table or text is wanted.

    Args:
        kind: pydantic's name of what is wrong.
        value: the value.
        named: whether a table that is wanted has a key ``kind``.
    """
    if len(str(value)) > _SHORT:
        return ""
    wanted = kind.split("_")[0]
    if wanted in ("list", "tuple") and isinstance(value, str | int | float):
        return f"; write {json.dumps([value])}"
    if wanted == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return f'; write "{value}"'
    if wanted == "model" and named and isinstance(value, str):
        return f"; write {{ kind = {json.dumps(value)} }}"
    return ""


def _walk(
    location: tuple[int | str, ...], model: type[BaseModel] | None
) -> tuple[list[str], list[str], bool]:
    """Return the keys of a location, those beside the last one, and whether its tables have a kind.

    pydantic puts the chosen kind between them, which is no key.
    """
    within, keys = [] if model is None else [model], list[str]()
    models = within
    for part in location:
        chosen = [one for one in within if _kind_of(one) == part]
        if chosen and not any(part in one.model_fields for one in within):
            within = chosen
            continue
        keys.append(str(part))
        models = within
        fields = [one.model_fields[str(part)] for one in models if part in one.model_fields]
        within = [found for field in fields for found in _models_in(field.annotation)]
    known = list(dict.fromkeys(name for one in models for name in one.model_fields))
    return keys, known, any("kind" in one.model_fields for one in within)


def _kind_of(model: type[BaseModel]) -> object:
    field = model.model_fields.get("kind")
    return None if field is None else field.default


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
