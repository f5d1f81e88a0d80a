"""What a run is known by: the columns of its identity, its key, and how it is called in tables.

Identity stands in columns. What a table calls a run is made here, from the columns, and is never
read back. Who types a name is understood by comparing it with the columns.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fal_bench.errors import InvalidSpecError, UnknownNameError
from fal_bench.inputs.limits import MOST_STRATEGIES
from fal_bench.inputs.selector import Selector

if TYPE_CHECKING:
    import pandas as pd

TRAINER = "trainer"
"""The parameter of every selector that chooses the trainer."""

DEFAULT_TRAINER = Selector("cross-entropy")

ALL = Selector("all")
"""What a user types for every strategy."""

SHOWN = ["task", "strategy", "seed"]
"""What a run is called in a table: these columns hold names as they are shown."""

DEFAULT_AGGREGATION = "fedavg"
"""The one aggregation whose behaviour is no part of a description: older runs know no other."""

_OWN = ("data", "model", "aggregation")

_LABEL = ["strategy", "parameters", "trainer", "trainer_parameters", "trainer_named"]
"""The columns that a strategy's name in tables is made of."""

_BESIDE = {"task", "seed", *_OWN}
"""Parts of a description that are no part of a strategy's variant."""


def description_key(description: Mapping[str, Any]) -> str:
    """Return the key of a canonical description: its SHA-256, in hexadecimal."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def describe(
    task: Mapping[str, Any],
    strategy: Selector,
    fingerprint: str,
    trainer: Selector,
    trainer_fingerprint: str,
    **rest: Any,
) -> dict[str, Any]:
    """Return the canonical description of a run, as JSON values: all that decides its curve.

    Args:
        task: the task's canonical JSON.
        strategy: the strategy with the parameters that differ from their defaults.
        fingerprint: what identifies the strategy's behaviour.
        trainer: the trainer, likewise.
        trainer_fingerprint: what identifies the trainer's behaviour.
        rest: seed, device, numerics, and what identifies the user's own data and model and
            any other aggregation than FedAvg, left out if empty.
    """
    return {
        "task": task,
        "strategy": {
            "name": strategy.name,
            "params": strategy.params,
            "fingerprint": fingerprint,
        },
        "trainer": {
            "name": trainer.name,
            "params": trainer.params,
            "fingerprint": trainer_fingerprint,
        },
        **{name: value for name, value in rest.items() if name not in _OWN or value},
    }


def run_label(strategy: Selector, trainer: Selector, *, trainer_named: bool) -> str:
    """Return what a strategy is called: its name, the parameters that were set, its trainer.

    Args:
        strategy: the strategy with the parameters that differ from their defaults.
        trainer: the trainer, likewise.
        trainer_named: whether the trainer belongs to the name.
    """
    named = {TRAINER: str(trainer)} if trainer_named else {}
    return str(Selector(strategy.name, {**strategy.params, **named}))


def identity_columns(description: Mapping[str, Any], *, trainer_named: bool) -> dict[str, Any]:
    """Return the columns of a run's identity, but for the name of its task.

    Args:
        description: its canonical description.
        trainer_named: whether the trainer belongs to what the strategy is called.

    Raises:
        KeyError, TypeError, ValueError: it is no description.
    """
    strategy, trainer = description["strategy"], description["trainer"]
    rest = {name: value for name, value in description.items() if name not in _BESIDE}
    rest |= {"fingerprint": strategy["fingerprint"], "trainer": trainer["fingerprint"]}
    rest.pop("strategy")
    variant = tuple(sorted((name, str(value)) for name, value in rest.items()))
    return {
        "strategy": str(strategy["name"]),
        "parameters": _json(strategy["params"]),
        "fingerprint": str(strategy["fingerprint"]),
        "trainer": str(trainer["name"]),
        "trainer_parameters": _json(trainer["params"]),
        "trainer_fingerprint": str(trainer["fingerprint"]),
        "trainer_named": trainer_named,
        "seed": int(description["seed"]),
        "origin": "",
        "device": str(description["device"]),
        "numerics": int(description["numerics"]),
        **{name: str(description.get(name, "")) for name in _OWN},
        "own": own_digest(*(description.get(name) for name in _OWN)),
        "variant": hashlib.sha256(repr(variant).encode()).hexdigest()[:8],
    }


def own_digest(*parts: str | None) -> str:
    """Return one digest of what a task has of its own: of its data, model and aggregation.

    Args:
        parts: what identifies each of them, in this order; nothing where it is no part of a
            description.

    Returns:
        The digest; empty if there is nothing of its own.
    """
    given = [part or "" for part in parts]
    return hashlib.sha256(repr(given).encode()).hexdigest() if any(given) else ""


def records(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame, each by its columns."""
    names = [str(name) for name in runs]
    columns = [runs[name].tolist() for name in runs]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def strategy_selector(run: Mapping[str, Any]) -> Selector:
    """Return the strategy of a run measured here, with its parameters."""
    return Selector(run["strategy"], json.loads(run["parameters"]))


def trainer_selector(run: Mapping[str, Any]) -> Selector:
    """Return the trainer of a run measured here, with its parameters."""
    return Selector(run["trainer"], json.loads(run["trainer_parameters"]))


def measured_label(run: Mapping[str, Any]) -> str:
    """Return what the strategy of a run measured here is called, as ``run_label`` has it."""
    return _label(*(run[name] for name in _LABEL))


@functools.lru_cache(maxsize=MOST_STRATEGIES)
def _label(*values: Any) -> str:
    """Return the label for values of the columns ``_LABEL``, which many runs share."""
    run = dict(zip(_LABEL, values, strict=True))
    named = bool(run["trainer_named"])
    return run_label(strategy_selector(run), trainer_selector(run), trainer_named=named)


def strategy_labels(runs: pd.DataFrame) -> list[str]:
    """Return what each run's strategy is called among these runs.

    Strategies of one name and parameters whose code, device or numerics differ are told apart by a
    short hash; imported ones are marked, and told apart by the import.
    """
    plain = plain_labels(runs)
    several = _several(zip(plain, runs["origin"] != "", strict=True), runs["variant"])
    return [
        _marked(label, origin, variant if (label, origin != "") in several else "")
        for label, origin, variant in zip(plain, runs["origin"], runs["variant"], strict=True)
    ]


def plain_labels(runs: pd.DataFrame) -> list[str]:
    """Return what each run's strategy is called where nothing else has that name."""
    return [_plain(run) for run in records(runs[["origin", *_LABEL]])]


def task_labels(tasks: pd.DataFrame) -> list[str]:
    """Return what each task is called among these tasks.

    One that was run on several data, or with several models or aggregations of one name, gets a
    short hash.
    """
    several = _several(tasks["name"], tasks["own"])
    return [
        f"{name} @{own[:8]}" if name in several else name
        for name, own in zip(tasks["name"], tasks["own"], strict=True)
    ]


def chosen_runs(runs: pd.DataFrame, texts: Sequence[str]) -> pd.Series:
    """Return which runs a user's selectors stand for; a table's names are understood, too.

    A selector stands for the strategy of that name in tables. Where none has its name and it says
    no trainer, it stands for its strategy with whatever trainer is there. Imported runs are chosen
    as a whole, whatever their strategies.

    Args:
        runs: rows of ``Results.runs``.
        texts: selectors; ``"all"`` stands for every strategy.

    Raises:
        UnknownNameError: a selector stands for none of them.
    """
    import pandas as pd  # late, since workers use this module, and no frame

    here = runs["origin"] == ""
    wanted = ~here
    known = strategy_labels(runs[here])
    mine = records(runs[here])
    for text in texts:
        named = [text in _names(run) for run in mine]
        for selector in [] if any(named) else Selector.expand(text):
            found = [selector == ALL or str(selector) in _names(run) for run in mine]
            if not any(found):
                found = [_is_meant(run, selector) for run in mine]
            if not any(found):
                raise UnknownNameError("strategy", str(selector), set(known))
            named = [one or other for one, other in zip(named, found, strict=True)]
        wanted |= pd.Series(named, index=runs.index[here]).reindex(runs.index, fill_value=False)
    return wanted


def chosen_tasks(tasks: pd.DataFrame, text: str) -> pd.Series:
    """Return which tasks a name stands for: a task's own, or one with its short hash."""
    full = tasks["name"] + " @" + tasks["own"].str[:8]
    return (tasks["name"] == text) | ((full == text) & (tasks["own"] != ""))


def label_of(runs: pd.DataFrame, text: str) -> str | None:
    """Return the name in tables of the one strategy that a user means; None if there is none.

    Raises:
        InvalidSpecError: the text stands for several strategies.
    """
    labels = strategy_labels(runs)
    if text in labels:
        return text
    rows = list(zip(records(runs), labels, strict=True))
    meant = {label for run, label in rows if text in _names(run)}
    if not meant:
        wanted = {str(selector) for selector in Selector.expand(text)}
        meant = wanted if len(wanted) > 1 else {one for run, one in rows if _plain(run) in wanted}
    if len(meant) > 1:
        raise InvalidSpecError(
            f"{text!r} stands for several strategies ({', '.join(sorted(meant))}); name one."
        )
    return next(iter(meant), None)


def _several(names: Iterable[Any], marks: Iterable[str]) -> set[Any]:
    """Return the names that come with more than one mark."""
    counts = Counter(name for name, _ in set(zip(names, marks, strict=True)))
    return {name for name, count in counts.items() if count > 1}


def _plain(run: Mapping[str, Any]) -> str:
    return str(run["strategy"]) if run["origin"] else measured_label(run)


def _marked(label: str, origin: str, mark: str) -> str:
    marked = f"{label} @{mark}" if mark else label
    return f"{marked} (external)" if origin else marked


def _names(run: Mapping[str, Any]) -> tuple[str, ...]:
    plain = _plain(run)
    return plain, f"{plain} @{run['variant']}"


def _is_meant(run: Mapping[str, Any], selector: Selector) -> bool:
    params = dict(selector.params)
    trainer = params.pop(TRAINER, None)
    if trainer is not None:
        return str(selector) == _plain(run)
    return (selector.name, _json(params)) == (run["strategy"], run["parameters"])


def _json(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True, separators=(",", ":"))
