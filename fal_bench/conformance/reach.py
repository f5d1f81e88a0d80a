"""Trying to get at labels and test data from what a strategy is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import torch

from fal_bench.conformance.worlds import own_hidden
from fal_bench.errors import PluginError
from fal_bench.federation.ledger import STRATEGY_PURPOSES, TRAINING_PURPOSES
from fal_bench.federation.setting import Setting
from fal_bench.federation.view import LiveClientView, LiveFederationView

DEPTH: Final = 5


def openings(federation: LiveFederationView, setting: Setting) -> Iterator[str]:
    """Yield every way in which a client's view gives away what it must not.

    It asks for what is refused, and walks over all attributes, private ones included, what they
    contain, and what the public methods close over. It does not follow private functions: Python
    can hide nothing from code that takes them apart.

    Args:
        federation: the federation as the strategy sees it.
        setting: what it is made from.
    """
    for view in federation._views:
        if isinstance(view, LiveClientView):
            yield from _granted(view, setting)
            yield from _found(view, setting)


def _granted(view: LiveClientView, setting: Setting) -> Iterator[str]:
    """Ask for labels and samples that must be refused."""
    others = [other for other in range(len(setting.shares)) if other != view.index]
    foreign = own_hidden(setting, others[0])[:1]
    beyond = np.array([setting.dataset.n_train])
    tries: dict[str, Callable[[], Any]] = {}
    for purpose in STRATEGY_PURPOSES:
        for what, ids in (
            ("the label of another client's sample", foreign),
            ("the label of a test sample", beyond),
            ("a label of the state share", view.share("state")[:1]),
        ):
            if len(ids):
                tries[f"buys {what} for {purpose!r}"] = partial(view.buy, ids, purpose)
    for purpose in TRAINING_PURPOSES:
        ids = view.unlabelled[:1]
        tries[f"buys labels of the query on the side, for {purpose!r}"] = partial(
            view.buy, ids, purpose
        )
    for what, ids in (("not bought", view.unlabelled[:1]), ("another client's", foreign)):
        if len(ids):
            tries[f"asks again for a label that is {what}"] = partial(view.ask_again, ids)
    tries["hands out true labels by hindsight()"] = view.hindsight
    tries["shows another client's sample"] = partial(view.inputs, foreign)
    tries["predicts another client's sample"] = partial(view.probs, view.global_model, foreign)
    tries["predicts test samples"] = partial(view.logits, view.global_model, beyond)
    for what, attempt in tries.items():
        try:
            attempt()
        except (PluginError, IndexError):
            continue
        yield f"client.{what}"


def _found(view: LiveClientView, setting: Setting) -> Iterator[str]:
    """Look for labels and test data in what can be reached."""
    data = setting.dataset
    labels, hidden = data.train_labels.numpy(), own_hidden(setting, view.index)
    for path, array in _arrays(view, "client", DEPTH, set()):
        if array.shape == labels.shape and np.array_equal(array[hidden], labels[hidden]):
            yield f"{path} holds labels that were not bought"
        elif array.shape == view.unlabelled.shape and np.array_equal(
            array, labels[view.unlabelled]
        ):
            yield f"{path} holds the labels of the pool"
        elif any(
            array.shape == secret.shape and np.array_equal(array, secret)
            for secret in (data.test_labels.numpy(), data.test_features.numpy())
        ):
            yield f"{path} holds test data"


def _arrays(
    value: Any, path: str, depth: int, seen: set[int]
) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Yield all arrays that can be reached from a value, with the way to them."""
    if id(value) in seen or depth < 0:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield path, value
    elif isinstance(value, torch.Tensor):
        yield path, value.detach().numpy()
    else:
        for name, inner in _inside(value):
            yield from _arrays(inner, f"{path}{name}", depth - 1, seen)


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value is made of."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", inner) for key, inner in value.items())
        return
    if isinstance(value, list | tuple):
        yield from ((f"[{number}]", inner) for number, inner in enumerate(value))
        return
    if dataclasses.is_dataclass(value) or isinstance(value, LiveClientView):
        yield from ((f".{name}", inner) for name, inner in vars(value).items())
    if isinstance(value, LiveClientView):
        for name in dir(type(value)):
            method = getattr(type(value), name)
            if not name.startswith("_") and callable(method):
                for cell in getattr(method, "__closure__", None) or ():
                    yield f".{name} (closure)", cell.cell_contents
