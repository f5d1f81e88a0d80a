"""Curves measured elsewhere among those of a comparison: which of them compare, and why not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from fal_bench.errors import one_line
from fal_bench.reporting import wording
from fal_bench.reporting.context import External, TaskFacts
from fal_bench.results.identity import SHOWN, strategy_labels
from fal_bench.results.model import Results


def external_curves(
    results: Results, tasks: Sequence[TaskFacts], seeds: Sequence[int], baseline: str
) -> tuple[tuple[External, ...], pd.DataFrame]:
    """Pick the imported curves of the tasks that are compared.

    A task is the same if it has the same hash, whatever its name. Curves of a task with another
    hash, or without one, are shown under the task of their task's name, and never ranked.

    A strategy that can be ranked takes part with the seeds compared, any other one with all of its
    runs: seeds of other code mean nothing here.

    Runs of a file pair with those measured here where the file proves it: it has runs of the
    baseline, and on every task and seed compared their curves are those measured here, bit for bit.

    Args:
        results: the imported runs, and the baseline's of here.
        tasks: the tasks compared.
        seeds: the seeds compared.
        baseline: what the baseline is called here.

    Returns:
        What is known of each strategy, and the curves as ``Results.shown_curves`` has them, with
        ``source``: the name of the file they came from.
    """
    if results.imported.empty:
        return (), pd.DataFrame()
    externals, frames = [], []
    imported = list(_by_strategy(results, tasks))
    proven = _pairing(results, [mine for _, mine in imported], tasks, seeds, baseline)
    for label, mine in imported:
        external = _external(results, label, mine, tasks, seeds)
        paired = external.origin.name in proven and mine["named"].iloc[0] != baseline
        external = replace(external, paired=paired)
        shown = [run in external.runs for run in zip(mine["task"], mine["seed"], strict=True)]
        part = mine[shown].assign(source=external.origin.file)
        frames.append(part if external.strict_known else part.assign(labels_strict=float("nan")))
        externals.append(external)
    if not externals:
        return (), pd.DataFrame()
    whole = pd.concat(frames).drop(columns=["key", "origin", "named"])
    kept = [name for name in whole if name == "labels_strict" or whole[name].notna().any()]
    first = [*SHOWN, *(name for name in kept if name not in SHOWN)]
    frame = whole[first].astype({"labels_strict": float})
    return tuple(externals), frame.sort_values([*SHOWN, "cycle"], ignore_index=True)


def preview(results: Results, tasks: Sequence[TaskFacts]) -> list[str]:
    """Say what each strategy of an import will be shown as, on the tasks it was measured on.

    Args:
        results: the import.
        tasks: the tasks that are known.
    """
    given = set(results.runs["task_hash"])
    # Suites may have different tasks of one name; the one that the file means counts.
    known = {facts.name: facts for facts in sorted(tasks, key=lambda facts: facts.hash in given)}
    sentences = []
    for label, mine in _by_strategy(results, list(known.values())):
        names = sorted(set(mine["task"]))
        external = _external(
            results, label, mine, [known[name] for name in names], sorted(set(mine["seed"]))
        )
        count = wording.counted(mine["key"].nunique(), "run")
        fate = "ranked where these tasks and no other seeds are compared"
        if external.obstacle:
            fate = f"shown but not ranked, since {external.obstacle}"
        elif not external.strict_known:
            fate = f"{fate}, under --accounting paper only, since its file has no labels_strict"
        sentences.append(f"{one_line(label)}: {count} on {wording.listed(names)}; {fate}.")
    return sentences


def _by_strategy(
    results: Results, tasks: Sequence[TaskFacts]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each imported strategy that has runs of these tasks, with its curves."""
    runs = _placed(results.imported, tasks)
    runs = runs.assign(strategy=strategy_labels(runs), named=runs["strategy"])
    columns = ["key", *SHOWN, "task_hash", "reference", "origin", "named"]
    curves = results.curves.merge(runs[columns], on="key")
    for label, mine in curves.groupby("strategy", sort=True):
        yield str(label), mine


def _pairing(
    results: Results,
    imported: Sequence[pd.DataFrame],
    tasks: Sequence[TaskFacts],
    seeds: Sequence[int],
    baseline: str,
) -> set[str]:
    """Return the imports whose baseline has the curves that were measured here."""
    shown = results.shown_curves()
    here = shown[shown["strategy"] == baseline]
    found = set()
    for mine in imported:
        names = [name for name in results.metrics if name in mine and mine[name].notna().any()]
        if mine["named"].iloc[0] == baseline and names:
            columns = ["task", "seed", "cycle", "labels", "labels_strict", *names]
            if set(columns) <= {*here, "labels_strict"} and _same_bits(
                here[columns], mine[columns], tasks, seeds
            ):
                found.add(mine["origin"].iloc[0])
    return found


def _same_bits(
    here: pd.DataFrame, there: pd.DataFrame, tasks: Sequence[TaskFacts], seeds: Sequence[int]
) -> bool:
    """Tell whether both have every task and seed, with the same numbers in the same rows."""
    key = ["task", "seed", "cycle"]
    wanted = pd.MultiIndex.from_product([[facts.name for facts in tasks], seeds])
    parts: list[pd.DataFrame] = []
    for frame in (here, there):
        part = frame.astype({name: float for name in frame if name != "task"})
        runs = pd.MultiIndex.from_frame(part[["task", "seed"]])
        if not wanted.isin(runs).all():
            return False
        parts.append(part[runs.isin(wanted)].set_index(key).sort_index())
    return bool(parts[0].equals(parts[1]))


def _placed(runs: pd.DataFrame, tasks: Sequence[TaskFacts]) -> pd.DataFrame:
    """Return the runs of the tasks compared, under the names that these have here."""
    hashes = {facts.hash: facts.name for facts in tasks if facts.hash}
    proven: dict[str, set[str]] = defaultdict(set)
    for origin, digest in zip(runs["origin"], runs["task_hash"], strict=True):
        proven[origin] |= {hashes[digest]} if digest in hashes else set()
    names = {facts.name for facts in tasks}
    # A task's name places curves only where no others are proven to be of that task.
    found = [
        hashes.get(digest) or (task if task in names - proven[origin] else None)
        for origin, digest, task in zip(
            runs["origin"], runs["task_hash"], runs["task"], strict=True
        )
    ]
    placed = runs.assign(task=pd.Series(found, index=runs.index, dtype=object))
    return placed[placed["task"].notna()]


def _external(
    results: Results,
    label: str,
    curves: pd.DataFrame,
    tasks: Sequence[TaskFacts],
    seeds: Sequence[int],
) -> External:
    origins = {one.name: one for one in results.provenance.imports}
    keys = list(zip(curves["task"], curves["seed"], strict=True))
    runs = frozenset(keys)
    compared = frozenset((facts.name, seed) for facts in tasks for seed in seeds)
    obstacle = (
        _other_question(curves, {facts.name: facts.hash for facts in tasks})
        or _absent(runs, compared)
        or _unfinished(curves[[key in compared for key in keys]], tasks)
    )
    return External(
        strategy=label,
        origin=origins[curves["origin"].iloc[0]],
        runs=runs if obstacle else compared,
        strict_known=bool(curves["labels_strict"].notna().all()),
        priced=any(facts.priced for facts in tasks),
        obstacle=obstacle,
    )


# Each of the following says why curves cannot be ranked among those compared; empty if they can.


def _other_question(curves: pd.DataFrame, hashes: Mapping[str, str]) -> str:
    if curves["reference"].any():
        return "it is a reference, which sees the true labels"
    given = set(zip(curves["task"], curves["task_hash"], strict=True))
    unproven = sorted({task for task, digest in given if not digest})
    if unproven:
        return (
            f"its file has no task_hash to show that {wording.listed(unproven)} "
            f"{'is the task' if len(unproven) == 1 else 'are the tasks'} compared here"
        )
    others = sorted({task for task, digest in given if digest != hashes[task]})
    if others:
        return f"by its task_hash {wording.listed(others)} is another task than the one here"
    return ""


def _absent(runs: frozenset[tuple[str, int]], compared: frozenset[tuple[str, int]]) -> str:
    absent = sorted({task for task, _ in compared} - {task for task, _ in runs})
    if absent:
        return f"it has no runs on {wording.listed(absent)}"
    if not compared <= runs:
        lacking = sorted({seed for _, seed in compared - runs})
        noun = "seed" if len(lacking) == 1 else "seeds"
        return f"it lacks runs of {noun} {wording.listed([str(seed) for seed in lacking])}"
    return ""


def _unfinished(curves: pd.DataFrame, tasks: Sequence[TaskFacts]) -> str:
    """Look for curves cut short: a run's has a beginning and an end that the task knows."""
    known = {facts.name: facts for facts in tasks}
    key: Any
    for key, curve in curves.sort_values("cycle", kind="stable").groupby(["task", "seed"]):
        (task, seed), labels = key, curve["labels"].astype(int)
        facts = known[task]
        first, last = labels.iloc[0], labels.iloc[-1]
        end = facts.cap + facts.query_labels
        if first != facts.grid[0] or (last < end and len(curve) < facts.cycle_limit):
            return (
                f"its curve of {one_line(task)}, seed {seed}, goes from {first} to {last} "
                f"labels, and the protocol of that task from {facts.grid[0]} to {end}"
            )
    return ""
