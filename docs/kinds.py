"""Write docs/kinds.md: which strategy runs on which kind of data.

``python docs/kinds.py`` runs every built-in strategy to its end on small made-up data of each kind,
loaded from files as a user's are, and writes the page.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fal_bench.data.folders import Folders, use_folders
from fal_bench.data.loading import load_dataset
from fal_bench.errors import FalbenchError
from fal_bench.federation.declared import check_suits
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.loop import simulate
from fal_bench.federation.setting import Setting
from fal_bench.inputs.selector import Selector
from fal_bench.learning.engine import train
from fal_bench.plugins.registry import Registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.trainer import Trainer
from fal_bench.task import Task

HEAD = """# Strategies by kind of data

Written by `python docs/kinds.py`, which runs every built-in strategy to its end on small data of
each kind, loaded from files: images and series from an `npz` file, a `table` and a `text` file.
"yes" means that it did, on a task that has what it needs. Anything else is what falbench says
before anything runs.

"""

ROWS, CLASSES = 360, 3
SITES = ("north", "south", "west")

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "images": ("npz[path=images.npz]", {"kind": "cnn", "channels": [4]}),
    "series": ("npz[path=series.npz,channels=first]", {"kind": "cnn1d", "channels": [4]}),
    "table": ("table[path=table.csv,label=class,client=site]", {"kind": "mlp", "hidden": [8]}),
    "text": (
        "text[path=text.csv,text=words,label=class,client=site]",
        {"kind": "mlp", "hidden": []},
    ),
}

SHORT: dict[str, dict[str, Any]] = {
    "ifal": {"epochs": 20},
    "fedral": {"epochs": 1, "episodes": 1, "warm_episodes": 2},
    "fedral-shared": {"epochs": 1, "episodes": 1, "warm_episodes": 2},
}
"""What these train is as long as their parameters say, and is the same code at any length."""


def main() -> None:
    """Write the page."""
    (Path(__file__).parent / "kinds.md").write_text(page())


def page() -> str:
    """Return the page."""
    registry = Registry.discover()
    lines = [f"| strategy | {' | '.join(KINDS)} |", "|---" * (1 + len(KINDS)) + "|"]
    with tempfile.TemporaryDirectory() as folder:
        data, cache = Path(folder, "data"), Path(folder, "cache")
        data.mkdir()
        write_files(data)
        with use_folders(Folders(data, cache)):
            for name in names_of(registry):
                said = [outcome(registry, name, kind) for kind in KINDS]
                lines.append(f"| `{name}` | {' | '.join(said)} |")
    return HEAD + "\n".join(lines) + "\n"


def names_of(registry: Registry) -> list[str]:
    """Return the names of falbench's own strategies."""
    return [
        name for name in registry.names() if registry.load(name).__module__.startswith("fal_bench.")
    ]


def outcome(registry: Registry, name: str, kind: str) -> str:
    """Run a strategy on a kind of data; return "yes", or why it cannot be run."""
    strategy = registry.make(Selector(name, SHORT.get(name, {})))
    for task in tasks(kind):
        setting = Setting.draw(task, 0, load_dataset(task.dataset))
        try:
            check_suits(strategy, task)
            strategy.check_shares(task, setting.sizes)
        except FalbenchError as error:
            said = str(error)
            continue
        trainer = registry.trainers.make(Selector.parse(strategy.trainer))
        run_to_end(setting, strategy, trainer)
        return "yes"
    return said


def tasks(kind: str) -> Iterator[Task]:
    """Yield tasks on a kind of data.

    Plain, with shares for agents, with allotment, with more rounds, with a target domain.
    """
    dataset, model = KINDS[kind]
    fields = {
        "dataset": dataset,
        "clients": 2,
        "partition": {"kind": "iid"},
        "model": model,
        "rounds": 1,
        "local_epochs": 2,
        "initial_labels": 10,
        "query_size": 4,
        "budget_cap": 28,
    }
    yield Task.model_validate(fields)
    shares = {"state": 0.1, "warm_start": 0.2, "agent": 0.4, "pool": 0.3}
    yield Task.model_validate(fields | {"shares": shares})
    yield Task.model_validate(fields | {"allotment": {"kind": "server"}})
    yield Task.model_validate(fields | {"rounds": 4})
    target = {"kind": "given", "target": SITES[-1]}
    del fields["clients"]  # which come with the data
    yield Task.model_validate(fields | {"partition": target})


def run_to_end(setting: Setting, strategy: Strategy, trainer: Trainer) -> None:
    """Run a strategy until its budget is spent."""
    run = simulate(setting, lambda: strategy, MemoryJournal(), trainer)
    try:
        request = next(run)
        while True:
            request = run.send(train([request])[0])
    except StopIteration:
        return


def write_files(folder: Path) -> None:
    """Write a small file of each kind, in which classes differ."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=ROWS)
    sites = np.resize(SITES, ROWS)
    for name, shape in (("images", (8, 8)), ("series", (3, 1, 12))):
        values = rng.normal(size=(CLASSES, *shape))[labels] + rng.normal(size=(ROWS, *shape))
        arrays = {"train": slice(60, None), "test": slice(60)}
        content = {f"{part}_images": values[rows] for part, rows in arrays.items()}
        content |= {f"{part}_labels": labels[rows] for part, rows in arrays.items()}
        content |= {f"{part}_clients": sites[rows] for part, rows in arrays.items()}
        np.savez(folder / f"{name}.npz", **content)
    with (folder / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["size", "weight", "colour", "class", "site"])
        for label, site in zip(labels, sites, strict=True):
            colour = rng.choice(["red", "green", "blue"][label:])
            rows.writerow([*(label + rng.normal(size=2)), colour, f"class {label}", site])
    with (folder / "text.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["words", "class", "site"])
        for label, site in zip(labels, sites, strict=True):
            words = rng.choice(["poor", "plain", "fine"], 6, p=np.roll([0.6, 0.2, 0.2], label))
            rows.writerow([" ".join(words), label, site])


if __name__ == "__main__":
    main()
