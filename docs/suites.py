"""Write the tables of docs/suites from the suites themselves: ``python docs/suites.py``.

The text of each page stays; only what stands between the marks is written.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from fal_bench import inspect
from fal_bench.data.base import Dataset
from fal_bench.data.loading import load_dataset
from fal_bench.data.subset import long_tail
from fal_bench.federation.setting import Setting
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.functions import checked
from fal_bench.plugins.registry import current_registry
from fal_bench.sweep.plan import DEFAULT_STRATEGIES
from fal_bench.task import Task
from fal_bench.task.suite import Suite, find_suite, load_suite, suite_names

FOLDER = Path(__file__).parent / "suites"
PUBLISHED = Path(__file__).parents[1] / "results" / "published"
BEGIN = "<!-- written by python docs/suites.py -->\n"
INSPECTED = "<!-- inspected by python docs/suites.py -->\n"
END = "<!-- end -->\n"

CLASSES = {"cifar10": (50_000, 10), "cifar100": (50_000, 100), "fashion-mnist": (60_000, 10)}
"""Training images and classes of the published data sets; every class has equally many."""

OWN = ("quick", "standard", "fmnist-cnn4")
"""Suites of the project's own; the other pages are of papers."""


def main() -> None:
    """Write the tables."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """Return the text that each page of suites should have."""
    index = FOLDER / "README.md"
    texts = {index: _filled(index, _index())}
    for name in paged():
        path, suite = FOLDER / f"{name}.md", load_suite(name)
        text = _filled(path, protocol(suite))
        texts[path] = _between(text, INSPECTED, inspected(suite)) if INSPECTED in text else text
    return texts


def inspected(suite: Suite) -> str:
    """Return what an inspection of a suite's published results says; its tasks are published."""
    return inspect(PUBLISHED / suite.name, suite=suite.name).text("markdown")


def paged() -> list[str]:
    """Return the suites that have a page: our own, then the papers'."""
    found = [name for name in suite_names() if (FOLDER / f"{name}.md").exists()]
    return [*OWN, *(name for name in found if name not in OWN)]


def protocol(suite: Suite) -> str:
    """Return a suite's tables: what its own tasks have in common, and one column a task."""
    columns = [_facts(task) for task in suite.own_tasks]
    common = {key for key in columns[0] if len({own[key] for own in columns}) == 1}
    names = [f"`{task.name}`" for task in suite.own_tasks]
    head = names[0] if len(names) == 1 else "its own tasks" if suite.shared else "all tasks"
    rows = [f"| | {head} |", "|---|---|"]
    rows += [f"| {key} | {columns[0][key]} |" for key in columns[0] if key in common]
    if len(names) > 1:
        rows += ["", f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
        rows += [
            f"| {key} | {' | '.join(own[key] for own in columns)} |"
            for key in columns[0]
            if key not in common
        ]
    if suite.shared:
        places = [
            f"`{task.name}` of `{find_suite(task.name).name}`"
            for task in suite.tasks
            if task.name in suite.shared
        ]
        rows += ["", f"Tasks of other suites, as they stand there: {', '.join(places)}."]
    said = [f"seeds: {suite.seeds}"]
    said += ["targets: " + ", ".join(map(str, suite.targets))] if suite.targets else []
    if suite.strategies:
        said.append("strategies: " + ", ".join(f"`{one}`" for one in suite.strategies))
    return "\n".join([*rows, "", f"By default: {'; '.join(said)}.", ""])


def _filled(path: Path, table: str) -> str:
    text = _between(path.read_text(encoding="utf-8"), BEGIN, table)
    if not text:
        raise SystemExit(f"{path} lacks the marks around its table.")
    return text


def _between(text: str, mark: str, table: str) -> str:
    """Return a text with a table between a mark and the next end; empty if one is not there."""
    head, begin, rest = text.partition(mark)
    _, end, tail = rest.partition(END)
    return f"{head}{begin}{table}{end}{tail}" if begin and end else ""


def _index() -> str:
    rows = ["| suite | what | tasks | runs | sample passes a run |", "|---|---|---|---|---|"]
    for name in paged():
        suite = load_suite(name)
        runs = len(suite.tasks) * suite.seeds * len(suite.strategies or DEFAULT_STRATEGIES)
        passes = sorted({sample_passes(task) for task in suite.own_tasks})
        span = " to ".join(f"{count:,}" for count in sorted({passes[0], passes[-1]}))
        row = [f"[`{name}`]({name}.md)", suite.description, str(len(suite.tasks)), str(runs)]
        rows.append(f"| {' | '.join([*row, span])} |")
    return "\n".join(rows) + "\n"


def _facts(task: Task) -> dict[str, str]:
    samples = training_samples(task)
    pool = setting(task).pool
    start, step, cap = task.label_grid_start, task.query_labels, task.budget_cap
    shares = task.shares
    parts = (shares.state, shares.warm_start, shares.agent, shares.pool)
    return {
        "data": f"`{task.dataset}`",
        "training samples": f"{samples:,}",
        "long tail": "none" if task.long_tail == 1 else f"{task.long_tail:g}",
        "clients": str(task.clients),
        "partition": _partition(task),
        "shares state / warm start / agent / pool": " / ".join(f"{100 * p:g}" for p in parts)
        + " %",
        "query pool": f"{pool:,}",
        "model": _model(task),
        "initial labels": _labels(task.initial_labels, start, pool),
        "query": _labels(task.query_size, step, pool),
        "budget cap": f"{cap:,} = {100 * cap / pool:.3g} % of the pool",
        "points of the label grid": str(len(task.label_grid)),
        "model before a cycle": "gets new weights"
        if task.reset == "scratch"
        else "keeps its weights",
        "rounds a cycle x local epochs": f"{task.rounds} x {task.local_epochs}",
        "batch size": str(task.batch_size),
        "optimiser": _optimiser(task),
        "augmentation": task.augmentation,
        "accuracy is the mean of": f"the last {task.evaluation_rounds} rounds"
        if task.evaluation_rounds > 1
        else "the last round",
        "trainings a run": str(task.fixed_cycles),
        "sample passes a run": f"{sample_passes(task):,}",
    }


@cache
def setting(task: Task, seed: int = 0) -> Setting:
    """Return what the harness draws for a task, at the true sizes of its data and without them."""
    known = training_labels(task)
    labels, classes = torch.from_numpy(known), torch.from_numpy(np.unique(known))
    dataset = Dataset(
        "sizes", torch.zeros(len(labels), 1, 2, 2), labels, torch.zeros(len(classes), 1, 2, 2),
        classes, len(classes),
    )  # fmt: skip
    return Setting.draw(task, seed, dataset)


def training_samples(task: Task) -> int:
    """Return how many training samples a task spreads over its clients."""
    return len(long_tail(training_labels(task), task.long_tail, np.random.default_rng(0)))


def training_labels(task: Task) -> np.ndarray:
    """Return labels as the task's published data have them, without reading what is not here."""
    selector = Selector.parse(task.dataset)
    if selector.name == "frozen":
        selector = Selector.parse(selector.params["dataset"])
    if selector.name not in CLASSES:  # it ships with scikit-learn
        return load_dataset(task.dataset).train_labels.numpy()
    total, classes = CLASSES[selector.name]
    return np.repeat(np.arange(classes), selector.params.get("train", total) // classes)


def sample_passes(task: Task) -> int:
    """Return the samples that pass forward and backward in the federation of a fixed-size run."""
    labels = sum(
        task.label_grid_start + cycle * task.query_labels for cycle in range(task.fixed_cycles)
    )
    return labels * task.rounds * task.local_epochs


def _partition(task: Task) -> str:
    if task.partition.kind == "dirichlet":
        return f"Dirichlet, alpha {task.partition.alpha:g}"
    return "IID" if task.partition.kind == "iid" else task.partition.kind


def _model(task: Task) -> str:
    name = task.model.kind
    params = checked(current_registry().models.load(name), task.model.params)
    values = params.model_dump(mode="json").items()
    shown = (f"{key} {value}" for key, value in values if value != 0)
    return ", ".join([f"`{name}`", *shown])


def _labels(each: int, total: int, pool: int) -> str:
    return f"{each} a client, {total:,} = {100 * total / pool:.3g} %"


def _optimiser(task: Task) -> str:
    used = task.optimiser
    names = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
    text = f"{names[used.kind]}, lr {used.lr:g}"
    if used.kind == "sgd":
        text += f", momentum {used.momentum:g}"
    text += f", weight decay {used.weight_decay:g}"
    if used.milestones:
        text += f", x {used.gamma:g} after round {', '.join(map(str, used.milestones))}"
    if used.schedule == "cosine":
        text += ", cosine"
    return text + (", state kept" if used.state == "kept" else "")


if __name__ == "__main__":
    main()
