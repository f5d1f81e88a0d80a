"""What pydantic finds wrong, in plain words."""

from __future__ import annotations

import difflib
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
    keys, known = _walk(first["loc"], model)
    return ".".join(keys), _plain(first, keys, known)


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


def _plain(error: ErrorDetails, keys: list[str], known: list[str]) -> str:
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
        return f"it must be {wanted}, not {shown(error['input'])}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}"


def _wanted(kind: str, context: Mapping[str, Any]) -> str | None:
    if kind in _LIMITS:
        return _LIMITS[kind].format(**context)
    return _KINDS.get(kind.split("_")[0])


def _walk(
    location: tuple[int | str, ...], model: type[BaseModel] | None
) -> tuple[list[str], list[str]]:
    """Return the keys of a location, and those that there are beside the last one.

    pydantic puts the chosen kind between them, which is no key.
    """
    models, keys = [] if model is None else [model], list[str]()
    for number, part in enumerate(location):
        chosen = [one for one in models if _kind_of(one) == part]
        if chosen and not any(part in one.model_fields for one in models):
            models = chosen
            continue
        keys.append(str(part))
        if number < len(location) - 1:
            fields = [one.model_fields[str(part)] for one in models if part in one.model_fields]
            models = [found for field in fields for found in _models_in(field.annotation)]
    return keys, list(dict.fromkeys(name for one in models for name in one.model_fields))


def _kind_of(model: type[BaseModel]) -> object:
    field = model.model_fields.get("kind")
    return None if field is None else field.default


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
