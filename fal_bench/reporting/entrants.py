"""What the page says of a strategy: its idea, family, paper and parameters.

The words are those of the installed plugin, and only where the runs are of that version of a
built-in one: a page that shows other people's strategies says what their runs say.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fal_bench.plugins.registry import current_registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.reporting.context import Entrant

OWN_FAMILY = "not built in"
"""The family of strategies that are not falbench's own."""


@dataclass(frozen=True)
class Portrait:
    """What is known of a strategy.

    Attributes:
        idea: one sentence; empty if unknown.
        family: the kind of its idea.
        paper: where it comes from; empty if unknown.
        parameters: its parameters and their values, those at their default included.
        version: what identifies its code.
    """

    idea: str
    family: str
    paper: str
    parameters: tuple[tuple[str, str], ...]
    version: str


def portrait(entrant: Entrant) -> Portrait:
    """Return what is known of a strategy.

    Args:
        entrant: what its runs say of it.
    """
    registry = current_registry()
    if not entrant.built_in:
        code = f"code {entrant.fingerprint[:8]}"
        return Portrait("", OWN_FAMILY, "", entrant.parameters, code)
    known = registry.strategies.built_in(entrant.plugin)
    if not known or registry.fingerprint(entrant.plugin) != entrant.fingerprint:
        return Portrait("", "earlier version", "", entrant.parameters, entrant.fingerprint)
    plugin = registry.load(entrant.plugin)
    given = dict(entrant.parameters)
    parameters = tuple(
        (name, given.get(name, str(field.default)))
        for name, field in plugin.Params.model_fields.items()
    )
    return Portrait(_idea(plugin), plugin.family, plugin.paper, parameters, entrant.fingerprint)


def _idea(plugin: type[Strategy]) -> str:
    """Return the first sentence of a docstring."""
    first = (inspect.getdoc(plugin) or "").partition("\n\n")[0]
    return re.sub(r"``(.+?)``", r"\1", " ".join(first.split()))


def built_in_words() -> list[str]:
    """Return all that pages say of built-in strategies: where it is the same, so are they."""
    registry = current_registry()
    names: Sequence[str] = [one for one in registry.names() if registry.strategies.built_in(one)]
    return [repr(portrait(Entrant(name, name, (), registry.fingerprint(name)))) for name in names]
