"""How long missing cells will take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fal_bench.sweep.groups import updates
from fal_bench.sweep.spec import CellSpec
from fal_bench.sweep.store import Store
from fal_bench.task import Task

TRIAL_STEPS = 50
TRIAL_LANES = 20
# Lanes that are trained one after the other cost the same in any company, and their steps are long.
SEQUENTIAL_STEPS = 3
WORKER_START_SECONDS = 4.0


def estimate_seconds(
    store: Store, known: Sequence[CellSpec], missing: Sequence[CellSpec], jobs: int
) -> float:
    """Estimate the wall time of running ``missing`` with ``jobs`` workers.

    A cell is taken to cost what finished cells of its task and strategy cost, else what finished
    cells of its task cost; where there are none, the federated training is timed on a few steps
    (which leaves out the strategy's own time).

    Args:
        store: the results folder.
        known: all cells of the comparison; the finished ones are the evidence.
        missing: the cells to run.
        jobs: number of workers.
    """
    if not missing:
        return 0.0
    seconds: dict[tuple[str, str], list[float]] = {}
    for spec in known:
        if store.phase(spec) == "done":
            rows = store.folder(spec).rows()
            spent = sum(row.train_seconds + row.select_seconds for row in rows)
            for key in ((spec.task.hash, spec.label), (spec.task.hash, "")):
                seconds.setdefault(key, []).append(spent)
    total = 0.0
    for spec in missing:
        task = spec.task
        evidence = seconds.get((task.hash, spec.label)) or seconds.get((task.hash, ""))
        if evidence is None:
            evidence = seconds[task.hash, ""] = [_training_seconds(task, spec.device)]
        total += sum(evidence) / len(evidence)
    return WORKER_START_SECONDS + total / min(jobs, len(missing))


def _training_seconds(task: Task, device: str) -> float:
    """Time a few training steps of a task and scale them to one cell."""
    import torch

    from fal_bench.data.loading import load_dataset
    from fal_bench.federation.setting import Setting
    from fal_bench.learning.engine import engine_of, train
    from fal_bench.learning.request import Lane, TrainRequest
    from fal_bench.needs import LocalTraining

    setting = Setting.draw(task, 0, load_dataset(task.dataset), device)
    model = setting.architecture.fresh(torch.Generator().manual_seed(0))
    stacked = engine_of(model.architecture) == "stacked"
    lane_count, steps = (TRIAL_LANES, TRIAL_STEPS) if stacked else (1, SEQUENTIAL_STEPS)
    ids = torch.arange(min(task.batch_size, setting.dataset.n_train))
    lanes = tuple(
        Lane(
            model.weights,
            setting.dataset.train_features[ids],
            setting.dataset.train_labels[ids],
            setting.streams.numpy("estimate", number),
        )
        for number in range(lane_count)
    )
    recipe = LocalTraining(epochs=steps, batch_size=task.batch_size, stop_at_accuracy=None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train([TrainRequest(model.architecture, recipe, lanes)])
        started = time.perf_counter()
        train([TrainRequest(model.architecture, recipe, lanes)])
        per_step = (time.perf_counter() - started) / (steps * lane_count)
    finally:
        torch.set_num_threads(threads)
    return per_step * updates(task)
