"""Which rows of a table a user's selectors stand for."""

from __future__ import annotations

from collections.abc import Sequence

from fal_bench.errors import UnknownNameError
from fal_bench.inputs.selector import Selector
from fal_bench.sweep.spec import TRAINER


def wanted_labels(stored: set[str], selectors: Sequence[str]) -> set[str]:
    """Return the labels among ``stored`` that selectors stand for; all of them if there are none.

    A selector without a trainer stands for its strategy with whatever trainer is there.

    Raises:
        UnknownNameError: a selector stands for none.
    """
    wanted = set()
    for text in selectors or stored:
        if text in stored:
            wanted.add(text)
            continue
        for selector in Selector.expand(text):
            if selector == Selector("all"):
                wanted |= stored
                continue
            found = {
                label for label in stored if label in (str(selector), _trained(selector, label))
            }
            if not found:
                raise UnknownNameError("strategy", str(selector), stored)
            wanted |= found
    return wanted


def _trained(selector: Selector, label: str) -> str:
    """Return what a selector would be called with the trainer that a label names."""
    if TRAINER in selector.params or "@" in label:
        return str(selector)
    params = Selector.parse(label).params
    trainer = {TRAINER: params[TRAINER]} if TRAINER in params else {}
    return str(Selector(selector.name, {**selector.params, **trainer}))
