"""LoGo's own repository and falbench at the same work, one thread each; prints the ratios.

LoGo's repository is <https://github.com/raymin0223/LoGo> (MIT licence). What it imports must be
there; of medmnist this work uses nothing, so that a module with an empty ``INFO`` does.
``DATA_DIR`` is its ``--data_dir``: torchvision's files of Fashion-MNIST are in
``fmnist/FashionMNIST/raw`` in it, and falbench reads the same ones.

The work: 60,000 images at 10 clients (Dirichlet, alpha 0.1, balanced as in LoGo's code), the
four-layer CNN, a federated training with 300 labels a client and one with 600, each 3 rounds of 5
epochs with horizontal flips, a test after every round, and one query by LoGo between them. Both
train alike: SGD with momentum, batches of at most 64, and local models of at most 50 epochs that
end at 99 % of their own labels, whose learning rate falls to a tenth after 37 updates.

What differs:

- partitions, labels and first weights are other draws, so that local models take other numbers of
  epochs. Updates are counted; the last ratio is what it would be at LoGo's number;
- batches of an epoch are of even size in falbench (60, where LoGo takes four of 64 and one of 44);
- LoGo predicts the pool one sample at a time, and its tests keep what a backward pass would need;
- falbench predicts, at every test, the labels that it trained with, too, and measures more than
  accuracy;
- LoGo sees flipped images where it checks for the 99 %;
- k-means starts once in both, but took ten starts with the scikit-learn of LoGo's time;
- falbench also prepares its data, checks its plan, and writes and reads its results. It leaves out
  the training that would confirm its last figures.

Parts are CPU seconds, taken around functions of both sides, which stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

CLIENTS, IMAGES = 10, 60_000
PARTS = TRAINING, LOCAL, TESTS, POOL, CLUSTERS, OTHER = (
    "federated training", "local models", "tests", "predictions on the pool", "k-means", "all else",
)  # fmt: skip
ALL = "all"
STRATEGY = "logo[epochs=50,lr_quirk=true]"
SUITE = """
targets = [0.5]
[tasks.logo]
dataset = "fashion-mnist"
clients = {clients}
partition = {{ kind = "dirichlet", alpha = 0.1, balanced = true }}
model = {{ kind = "cnn4" }}
rounds = {rounds}
evaluation_rounds = {rounds}
local_epochs = {epochs}
batch_size = 64
optimiser = {{ lr = 0.01, momentum = 0.9, weight_decay = 1e-5 }}
augmentation = "flip"
initial_labels = {labels}
query_size = {labels}
budget_cap = {cap}
"""

COUNTED = SECONDS, UPDATES, PREDICTIONS = "seconds", "updates", "predictions"
Counts = dict[str, dict[str, float]]
"""By part: CPU seconds, updates, and predictions (samples)."""


class Meter:
    """Counts what this process does, by part; parts do not nest."""

    def __init__(self) -> None:
        self.counts: Counts = {part: dict.fromkeys(COUNTED, 0.0) for part in PARTS}
        self._part = OTHER

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Take the time of a part."""
        started, self._part = time.process_time(), name
        try:
            yield
        finally:
            self.counts[name][SECONDS] += time.process_time() - started
            self._part = OTHER

    def updated(self, *_: object) -> None:
        """Count an update of the part that is under way."""
        self.counts[self._part][UPDATES] += 1

    def predicted(self, samples: int) -> None:
        """Count predictions of the part that is under way."""
        self.counts[self._part][PREDICTIONS] += samples

    def time(self, owner: Any, name: str, part: str) -> None:
        """Make a function of a module or class a part."""
        function = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            with self.part(part):
                return function(*args, **options)

        setattr(owner, name, timed)


def noting(owner: Any, name: str, note: Callable[..., None]) -> None:
    """Call ``note`` with the arguments of each call of a function of a module or class."""
    function = getattr(owner, name)

    def noted(*args: Any) -> Any:
        note(*args)
        return function(*args)

    setattr(owner, name, noted)


def run_logo(options: argparse.Namespace, scratch: Path, meter: Meter) -> None:
    """Run the work with LoGo's ``main.py`` in this process."""
    sys.path.insert(0, str(options.logo))
    network = import_module("models.cnn4conv").CNN4Conv
    strategy = import_module("query_strategies.strategy").Strategy
    meter.time(import_module("fl_methods.fedavg").FedAvg, "train", TRAINING)
    meter.time(strategy, "training_local_only", LOCAL)
    meter.time(import_module("fl_methods.base").FederatedLearning, "test", TESTS)
    for name in ("get_grad_embedding_maxInd", "predict_prob"):
        meter.time(strategy, name, POOL)
    import_module("torch.optim.optimizer").register_optimizer_step_post_hook(meter.updated)
    noting(network, "forward", lambda own, some: meter.predicted(0 if own.training else len(some)))
    ratio = options.labels * CLIENTS / IMAGES
    arguments = {
        "gpu": -1, "al_method": "logo", "dataset": "fmnist", "partition": "dir_balance",
        "dd_beta": 0.1, "num_users": CLIENTS, "rounds": options.rounds,
        "local_ep": options.epochs, "query_ratio": ratio, "end_ratio": 2 * ratio,
        "data_dir": options.data, "save_dir": scratch,
    }  # fmt: skip
    sys.argv = ["main.py", *(f"--{name}={value}" for name, value in arguments.items())]
    runpy.run_path(str(options.logo / "main.py"), run_name="__main__")


def run_falbench(options: argparse.Namespace, scratch: Path, meter: Meter) -> None:
    """Run the work with falbench in this process."""
    os.environ["FALBENCH_CACHE"] = str(scratch)
    import fal_bench.api
    from fal_bench.federation import loop, view
    from fal_bench.isolation.memory import keep_freed_memory
    from fal_bench.learning import engine, sequential
    from fal_bench.task import Task

    keep_freed_memory()  # as a worker does
    train = engine.ENGINES["sequential"]

    def timed(network: Any, training: Any, *rest: Any) -> Any:
        with meter.part(TRAINING if training.stop_at_accuracy is None else LOCAL):
            return train(network, training, *rest)

    engine.ENGINES["sequential"] = timed
    noting(sequential._Optimiser, "step", meter.updated)
    seen = sequential.correct_by_batch

    def counted(*given: Any) -> Iterator[tuple[int, Any]]:
        for count, hits in seen(*given):
            meter.predicted(count)
            yield count, hits

    sequential.correct_by_batch = counted
    for module, part in ((loop, TESTS), (view, POOL)):
        noting(module, "predict", lambda model, some: meter.predicted(len(some)))
        meter.time(module, "predict", part)
    meter.time(loop, "evaluate", TESTS)
    # A run would end with one more query and training, which confirm its last figures.
    Task.cycle_limit = property(lambda task: 2)  # type: ignore[assignment, method-assign]
    suite = scratch / "suite.toml"
    sizes = {name: getattr(options, name) for name in ("rounds", "epochs", "labels")}
    cap = 2 * CLIENTS * options.labels
    suite.write_text(SUITE.format(clients=CLIENTS, cap=cap, **sizes), encoding="utf-8")
    fal_bench.api.compare(
        STRATEGY, baseline=STRATEGY, suite=suite, seeds=1, backend="sequential", device="cpu",
        out=scratch / "results", data_dir=options.data / "fmnist", progress=False,
        notify=lambda *_: None,
    )  # fmt: skip


SIDES = {"LoGo": run_logo, "falbench": run_falbench}


def measured(side: str) -> Counts:
    """Run one side in a process of its own; what belongs to no part becomes one."""
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    counts: Counts = json.loads(done.stdout.splitlines()[-1])
    counts[OTHER][SECONDS] = cpu - sum(one[SECONDS] for one in counts.values())
    counts[ALL] = {what: sum(one[what] for one in counts.values()) for what in COUNTED}
    print(f"{side}: {cpu:.1f} CPU seconds, {wall:.1f} s of wall clock", flush=True)
    return counts


def show(runs: dict[str, list[Counts]]) -> None:
    """Print the medians of both sides, and their ratios."""
    theirs, ours = (
        {
            part: {what: statistics.median(run[part][what] for run in own) for what in COUNTED}
            for part in (*PARTS, ALL)
        }
        for own in runs.values()
    )
    print("\nratio, and of LoGo / falbench the CPU seconds, updates and predictions")
    for part, own in ours.items():
        digits = dict.fromkeys(COUNTED, 0) | {SECONDS: 1}
        pairs = [f"{theirs[part][x]:.{n}f} / {own[x]:.{n}f}" for x, n in digits.items()]
        print(f"{part:24}{theirs[part][SECONDS] / own[SECONDS]:6.2f}", *(f"{x:>18}" for x in pairs))
    more = ours[LOCAL][SECONDS] * (theirs[LOCAL][UPDATES] / ours[LOCAL][UPDATES] - 1)
    ratio = theirs[ALL][SECONDS] / (ours[ALL][SECONDS] + more)
    print(f"ratio of CPU seconds if local models took LoGo's number of updates: {ratio:.2f}")


def main() -> None:
    """Time both in turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logo", type=Path, metavar="PATH_TO_LOGO")
    parser.add_argument("data", type=Path, metavar="DATA_DIR")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each training")
    parser.add_argument("--epochs", type=int, default=5, help="local epochs of a round")
    parser.add_argument("--labels", type=int, default=300, help="a client buys; 60, 120, ...")
    parser.add_argument("--side", choices=SIDES, help="run one side in this process")
    options = parser.parse_args()
    if options.side:
        meter = Meter()
        meter.time(import_module("sklearn.cluster").KMeans, "fit", CLUSTERS)
        with tempfile.TemporaryDirectory() as scratch:
            SIDES[options.side](options, Path(scratch), meter)
        print(json.dumps(meter.counts))
        return
    runs: dict[str, list[Counts]] = {side: [] for side in SIDES}
    for _ in range(options.repeats):
        for side, own in runs.items():
            own.append(measured(side))
    show(runs)


if __name__ == "__main__":
    main()
