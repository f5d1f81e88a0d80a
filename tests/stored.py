"""Finished runs written by hand: a results folder without running anything."""

import json
import os
from datetime import datetime

from fal_bench.federation.journal import Row
from fal_bench.inputs.selector import Selector
from fal_bench.results.files import write_sealed
from fal_bench.results.folder import RunFolder
from fal_bench.results.store import Store
from fal_bench.sweep.spec import RunSpec
from fal_bench.task import Task

ENVIRONMENT = {"torch": "2.9", "processor": "Toy 1"}
METRICS = {"accuracy": True, "precision": True, "loss": False}
KINDS = ("run", "status")
ADDED = ("number", "of", "seal")
"""What a session of today says more than one of schema 2."""
TINY = Task(name="tiny", clients=2, initial_labels=5, query_size=5, budget_cap=40)


def spec(strategy="random", seed=0, *, task=TINY, fingerprint="version 1"):
    return RunSpec(task, Selector.parse(strategy), fingerprint, seed)


def row(task, cycle, accuracy, seconds=1.0):
    labels = task.label_grid_start + cycle * task.query_labels
    each = labels // task.clients
    read = 3 if cycle else 0  # for the warm start, after the first model
    return Row(
        cycle=cycle,
        labels=labels,
        labels_strict=labels + read,
        bytes_up=1000,
        bytes_down=2000,
        train_seconds=seconds,
        select_seconds=0.25,
        labels_by_client=" ".join([str(each)] * task.clients),
        labels_strict_by_client=" ".join([str(each)] * (task.clients - 1) + [str(each + read)]),
        metrics={"accuracy": accuracy, "precision": accuracy, "loss": 1.0},
    )


def flat(row):
    """A row as a table of curves has it."""
    values = {name: getattr(row, name) for name in Row.columns()} | dict(row.metrics)
    return {name: values[name] for name in Row.columns(row.metrics)}


def charges(task, cycles):
    """The ledger: initial labels, three for a warm start, and one query a cycle."""
    initial = [(n % 2, n, "initial", 0) for n in range(task.label_grid_start)]
    warm = [(1, 100_000 + n, "warm-start", 0) for n in range(3)]
    # One label is read a second time, for another purpose: it stays one strict label.
    warm.append((1, initial[1][1], "reward", 0))
    bought = [
        (n % 2, 100 * (cycle + 1) + n, "pool", cycle)
        for cycle in range(cycles - 1)
        for n in range(task.query_labels)
    ]
    return initial + warm + bought


def store_run(
    root, run, *, start=0.1, seconds=1.0, environment=None, finished=True, accuracies=None,
    rows=None, higher_is_better=None, pool=200, kept=(), ended=None,
):  # fmt: skip
    """Write one run; its accuracy rises by a tenth a cycle from ``start``, up to 1.

    ``ended`` is when it was finished; now if None.
    """
    store = Store(root)
    store.prepare()
    folder: RunFolder = store.folder(run)
    metrics = {**METRICS, **(higher_is_better or {})}
    folder.create({**run.facts, "metrics": metrics}, {**ENVIRONMENT, **(environment or {})})
    folder.note_pool(pool)
    folder.resume()
    cycles = range(run.task.fixed_cycles)
    values = accuracies or [min(start + 0.1 * cycle, 1.0) for cycle in cycles]
    rows = rows or [row(run.task, cycle, value, seconds) for cycle, value in enumerate(values)]
    for one in rows:
        folder.append(one)
    if finished:
        folder.finish(charges(run.task, len(rows)), kept)
    if ended:
        status = {**folder.status(), "finished": ended.isoformat()}
        write_sealed(folder.path / "status.json", run.key, status)
    return folder


def as_schema_2(root):
    """Give a results folder the layout that falbench wrote before runs were sealed."""
    for folder in (root / "runs").iterdir():
        facts, status = (json.loads((folder / f"{one}.json").read_text()) for one in KINDS)
        ended = datetime.fromisoformat(status["finished"]).timestamp()
        digests = {one: status["files"][f"{one}.csv"]["sha256"] for one in ("curve", "ledger")}
        del facts["seal"], facts["task_name"]
        (folder / "run.json").write_text(json.dumps(facts))
        (folder / "status.json").write_text(json.dumps({"phase": "done", **digests}))
        os.utime(folder / "status.json", (ended, ended))
    if (root / "sessions.jsonl").exists():
        lines = (root / "sessions.jsonl").read_text().splitlines()
        kept = [
            {name: value for name, value in json.loads(line).items() if name not in ADDED}
            for line in lines
        ]
        (root / "sessions.jsonl").write_text("".join(f"\n{json.dumps(one)}\n" for one in kept))
    (root / "store.json").write_text('{"schema": 2}')


def as_schema_1(root):
    """Give a results folder the layout that falbench wrote before runs were called so."""
    as_schema_2(root)
    for folder in (root / "runs").iterdir():
        facts = json.loads((folder / "run.json").read_text())
        strategy, trainer = facts["description"]["strategy"], facts["description"]["trainer"]
        named = {"trainer": trainer["name"]} if facts.pop("trainer_named") else {}
        del facts["metrics"]
        facts["label"] = str(Selector(strategy["name"], {**strategy["params"], **named}))
        (folder / "run.json").unlink()
        (folder / "cell.json").write_text(json.dumps(facts))
    (root / "runs").rename(root / "cells")
    if (root / "sessions.jsonl").exists():
        (root / "sessions.jsonl").rename(root / "runs.jsonl")
    (root / "store.json").write_text('{"schema": 1}')
