"""Timing a little of what a run does, in workers as a run has them, and as many of them at once.

The loss is the usual one, and the strategy selects nothing in particular. Nothing is written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.data.folders import Folders, current_folders, use_folders
from fal_bench.errors import StoreError
from fal_bench.isolation.child import NO_CHANNEL, Channel, Child, Ended
from fal_bench.plugins.given import Source
from fal_bench.plugins.registry import Registry, use_registry
from fal_bench.plugins.strategy import ClientView, Strategy
from fal_bench.sweep.groups import updates
from fal_bench.sweep.worker import one_thread
from fal_bench.task import Task

if TYPE_CHECKING:
    from fal_bench.federation.setting import Setting
    from fal_bench.learning.request import TrainRequest

TRIAL_LANES = 20
TRIAL_SECONDS = 1.0
"""For each task whose networks are trained together; longer trials gave the same times."""

SEQUENTIAL_STEPS = 3
"""Lanes that are trained one after the other cost the same in any company; their steps are long."""


@dataclass(frozen=True)
class Pilot:
    """What was timed.

    Attributes:
        start: seconds until workers are there and have imported and loaded what they need.
        runs: seconds that the federated training and the evaluations of one run take, by the
            task's hash.
    """

    start: float
    runs: dict[str, float]


def time_tasks(
    tasks: Sequence[Task],
    device: str,
    jobs: int,
    *,
    plugins: Sequence[Source] = (),
    inline: bool = False,
) -> Pilot:
    """Time the start of workers, and a little of each task in all of them at the same time.

    Args:
        tasks: the tasks.
        device: class of the device.
        jobs: number of workers.
        plugins: the plugin files that the tasks' data sets and models may be in.
        inline: stay in this process, as the sequential backend does.

    Raises:
        StoreError: a worker died.
    """
    trial = (tuple(tasks), device, current_folders(), tuple(plugins))
    started = time.perf_counter()
    if inline:
        results = [_trial(NO_CHANNEL, *trial)]
    else:
        with ThreadPoolExecutor(jobs) as pool:
            results = list(pool.map(lambda _: _trial_apart(trial), range(jobs)))
    wall = time.perf_counter() - started
    runs = {hashed: sum(one[hashed] for one, _ in results) / jobs for hashed in results[0][0]}
    return Pilot(max(wall - max(spent for _, spent in results), 0.0), runs)


def _trial_apart(trial: tuple[Any, ...]) -> tuple[dict[str, float], float]:
    child = Child()
    try:
        return child.run(_trial, *trial)
    except Ended as ending:
        raise StoreError(
            f"A worker ended with {ending.what} while the time was measured; it may have run out "
            "of memory."
        ) from None
    finally:
        child.end()


def _trial(
    channel: Channel,  # noqa: ARG001  # no plugin is at work but data sets and models
    tasks: Sequence[Task],
    device: str,
    folders: Folders,
    plugins: Sequence[Source],
) -> tuple[dict[str, float], float]:
    """Return the seconds of a run of each task, and those that were spent on finding out."""
    import fal_bench.federation.loop  # noqa: F401  # counts as part of the start
    from fal_bench.learning.engine import engine_of

    runs: dict[str, float] = {}
    spent = 0.0
    registry = Registry.discover(plugins)
    with one_thread(), use_folders(folders), use_registry(registry):
        for task in tasks:
            settings = _settings(task, device)
            started = time.perf_counter()
            together = engine_of(settings[0].architecture) != "sequential"
            per_update = _together(settings) if together else _one_by_one(settings[0])
            runs[task.hash] = per_update * updates(task)
            spent += time.perf_counter() - started
    return runs, spent


def _settings(task: Task, device: str) -> list[Setting]:
    from fal_bench.data.loading import load_dataset
    from fal_bench.federation.setting import Setting

    dataset = load_dataset(task.dataset)
    count = math.ceil(TRIAL_LANES / task.clients)
    return [Setting.draw(task, seed, dataset, device) for seed in range(count)]


def _together(settings: Sequence[Setting]) -> float:
    """Compute runs from their beginning for a while; return seconds for each update."""
    from fal_bench.federation.journal import MemoryJournal
    from fal_bench.federation.loop import simulate
    from fal_bench.learning.engine import train

    runs = [simulate(setting, _First, MemoryJournal()) for setting in settings]
    begun = [(run, one) for run in runs if (one := next(run, None)) is not None]
    if not begun:  # all clients drop out of all rounds
        return 0.0
    runs, requests = [run for run, _ in begun], [one for _, one in begun]
    train(requests)  # what is set up once; the lanes' streams belong to no other run
    done = 0
    started = time.perf_counter()
    try:
        while time.perf_counter() - started < TRIAL_SECONDS:
            answers = train(requests)
            done += sum(map(_updates, requests))
            requests = [run.send(one) for run, one in zip(runs, answers, strict=True)]
    except StopIteration:  # all have the same length
        pass
    return (time.perf_counter() - started) / done


def _updates(request: TrainRequest) -> int:
    recipe = request.training
    batches = sum(math.ceil(len(lane.labels) / recipe.batch_size) for lane in request.lanes)
    return recipe.epochs * batches


def _one_by_one(setting: Setting) -> float:
    """Train for a few steps; return seconds for each update."""
    import torch

    from fal_bench.learning.engine import train
    from fal_bench.learning.request import Lane, TrainRequest
    from fal_bench.plugins.needs import LocalTraining

    task, dataset = setting.task, setting.dataset
    model = setting.architecture.fresh(torch.Generator().manual_seed(0))
    ids = torch.arange(min(task.batch_size, dataset.n_train))
    data = (dataset.train_features[ids], dataset.train_labels[ids])
    lane = Lane(model.weights, *data, setting.streams.numpy("estimate"))
    recipe = LocalTraining(
        epochs=SEQUENTIAL_STEPS, batch_size=task.batch_size, stop_at_accuracy=None
    )
    train([TrainRequest(model.architecture, recipe, (lane,))])
    started = time.perf_counter()
    train([TrainRequest(model.architecture, recipe, (lane,))])
    return (time.perf_counter() - started) / SEQUENTIAL_STEPS


class _First(Strategy):
    """Selects what comes first; adaptive strategies and costly inputs are not timed."""

    name = "first"

    def select(self, client: ClientView, budget: int) -> NDArray[np.int64]:  # noqa: ARG002
        return np.arange(budget)
