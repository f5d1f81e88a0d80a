"""How much faster the engines are than the usual loop: one thread, CPU time, same process."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest
import torch
import usual_loop
from workload import Workload, interleaved

from fal_bench.isolation.memory import keep_freed_memory
from fal_bench.learning.engine import train
from fal_bench.learning.inference import predict
from fal_bench.learning.kernels import first_block
from fal_bench.learning.model import Architecture
from fal_bench.learning.request import Lane, TrainRequest
from fal_bench.plugins.aggregation import average
from fal_bench.plugins.needs import LocalTraining
from fal_bench.streams import Streams
from fal_bench.task import ModelSpec


@pytest.fixture
def as_a_worker():
    """Use memory as a worker does."""
    keep_freed_memory()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    ("name", "spec", "stacked", "wanted", "wanted_stacked"),
    [
        ("MLP 64-64-10, digits", ModelSpec(kind="mlp", hidden=(64,)), 16, "at least 25", ""),
        (
            "CNN 16-32, digits",
            ModelSpec(kind="cnn", channels=(16, 32)),
            4,
            "at least 6",
            "at least 7",
        ),
    ],
)
def test_small_models(benchmark, report, name, spec, stacked, wanted, wanted_stacked):
    work = Workload.digits(spec)
    ours, many = work.ours(), work.ours(stacked)
    usual, kind, one, several = interleaved(work.usual(), work.usual(per_sample=False), ours, many)
    report(f"{name}: transforms per sample / ours", usual / one, wanted)
    report(f"{name}: tensor data loaders / ours", kind / one)
    report(
        f"{name}: transforms per sample / {stacked} runs",
        usual / several * stacked,
        wanted_stacked,
    )
    report(f"{name}: tensor data loaders / {stacked} runs", kind / several * stacked)
    report(f"{name}: microseconds an update", one / work.updates * 1e6)
    report(
        f"{name}: microseconds an update, {stacked} runs", several / work.updates / stacked * 1e6
    )
    benchmark.pedantic(ours, rounds=3)


def test_cnn4(benchmark, report):
    work = Workload.noise(ModelSpec(kind="cnn4"), 28, epochs=1, rounds=1, samples=50)
    ours = work.ours()
    usual, kind, one = interleaved(work.usual(), work.usual(per_sample=False), ours)
    report("CNN4 28x28: transforms per sample / ours", usual / one, "at least 1.45")
    report("CNN4 28x28: tensor data loaders / ours", kind / one)
    benchmark.pedantic(ours, rounds=3)


@pytest.mark.parametrize(
    ("shape", "batch", "width"),
    [
        ((1, 28, 28), 64, 64),
        ((3, 32, 32), 64, 64),
        ((3, 64, 64), 64, 64),
        ((1, 28, 28), 10, 64),  # where it is not used, and why
        ((3, 32, 32), 20, 64),
        ((3, 32, 32), 64, 32),
    ],
)
def test_first_block(benchmark, report, monkeypatch, as_a_worker, shape, batch, width):
    architecture = Architecture(ModelSpec(kind="cnn4", width=width), shape, 10)
    generator = torch.Generator().manual_seed(0)
    start = architecture.fresh(generator).weights
    images = torch.randn(320, *shape, generator=generator)
    labels = torch.randint(0, 10, (320,), generator=generator)
    recipe = LocalTraining(epochs=1, batch_size=batch, momentum=0.9)
    monkeypatch.setattr(first_block, "RATIO", 0)

    def steps(least: float) -> Callable[[], None]:
        def run() -> None:
            monkeypatch.setattr(first_block, "OUTPUTS", least)
            lane = Lane(start, images, labels, np.random.default_rng(0))
            train([TrainRequest(architecture, recipe, (lane,))])

        return run

    layers, windows = interleaved(steps(float("inf")), steps(0), repeats=5)
    work = f"CNN4 of width {width} on {shape}, batches of {batch}"
    for kind, seconds in (("layers", layers), ("first block by windows", windows)):
        report(f"{work}: {kind}, ms a step", seconds / (320 / batch) * 1000)
    report(f"{work}: layers / first block by windows", layers / windows)
    benchmark.pedantic(steps(0), rounds=1)


@pytest.mark.parametrize("samples", [512])
def test_inference(benchmark, report, samples):
    work = Workload.noise(ModelSpec(kind="cnn4"), 28)
    data = usual_loop.Images(work.images[:samples], work.labels[:samples])
    features = usual_loop.as_tensors(data).tensors[0]
    network, model = work.network(), work.model()

    def ours():
        return predict(model, features)

    def plain(size):
        with torch.no_grad():
            return [network(batch) for batch in features.split(size)]

    usual, one, small, large = interleaved(
        lambda: usual_loop.predict_one_by_one(network, data),
        ours,
        lambda: plain(64),
        lambda: plain(512),
    )
    report("CNN4 28x28 inference: batches of one / ours", usual / one, "at least 5")
    report("CNN4 28x28 inference: batches of 64 / ours", small / one)
    report("CNN4 28x28 inference: batches of 512 / ours", large / one)
    benchmark.pedantic(ours, rounds=3)


@pytest.mark.parametrize(
    "spec",
    [ModelSpec(kind="mlp", hidden=(64,)), ModelSpec(kind="cnn", channels=(16, 32))],
    ids=["mlp", "cnn"],
)
def test_cost_grows_linearly(benchmark, report, spec):
    few = Workload.noise(spec, 8, clients=10, samples=500, epochs=1, rounds=1)
    many = Workload.noise(spec, 8, clients=100, samples=50, epochs=1, rounds=1)
    ours = many.ours()
    one, ten_times, ten_runs = interleaved(few.ours(), ours, few.ours(10))
    report(f"{spec.kind}: 10 times the clients, same labels", ten_times / one, "at most 3")
    report(f"{spec.kind}: 10 times the runs", ten_runs / one, "at most 10")
    benchmark.pedantic(ours, rounds=1)


@pytest.mark.parametrize("clients", [10, 100, 1000])
def test_growth_with_clients(benchmark, report, clients):
    work = Workload.noise(
        ModelSpec(kind="mlp", hidden=(64,)), 8, clients=clients, samples=5, epochs=5, rounds=1
    )
    ours = work.ours()
    [seconds] = interleaved(ours)
    report(
        f"MLP, {clients} clients x 5 samples: microseconds an update", seconds / work.updates * 1e6
    )
    benchmark.pedantic(ours, rounds=1)


@pytest.mark.usefixtures("as_a_worker")
def test_clients_at_equal_labels(benchmark, report):
    """A step of 1,000 clients against one of 100, with 5,000 labels in all."""
    few, many = (
        Workload.noise(
            ModelSpec(kind="mlp", hidden=(64,)),
            8,
            clients=clients,
            samples=5000 // clients,
            rounds=1,
        )
        for clients in (100, 1000)
    )
    steps = interleaved(few.ours(), many.ours())
    one, other = (each / work.updates for each, work in zip(steps, (few, many), strict=True))
    report("MLP, 1,000 clients against 100 at equal labels: time a step", other / one)
    benchmark.pedantic(many.ours(), rounds=1)


def test_share_of_peak(benchmark, report):
    """Arithmetic of the training as a share of a large matrix product's, both on one thread."""
    left = torch.randn(1024, 1024)
    four_layers = Workload.noise(ModelSpec(kind="cnn4"), 28, epochs=1, rounds=1, samples=50)
    peak_seconds, mlp, cnn, cnn4 = interleaved(
        lambda: [left @ left for _ in range(5)],
        Workload.noise(ModelSpec(kind="mlp", hidden=(128,)), 12, rounds=1).ours(4),
        Workload.digits(ModelSpec(kind="cnn", channels=(16, 32)), rounds=1).ours(4),
        four_layers.ours(),
        repeats=5,
    )
    peak = 5 * 2 * 1024**3 / peak_seconds
    updates = 4 * Workload.digits(ModelSpec(kind="mlp"), rounds=1).updates
    mlp_flops = 10 * 2 * (2 * 144 * 128 + 3 * 128 * 10)
    cnn_flops = 10 * 2 * (2 * 64 * 16 * 9 + 3 * 16 * 32 * 16 * 9 + 3 * 128 * 10)
    blocks = 64 * 64 * 9 * (14 * 14 + 7 * 7 + 3 * 3)
    cnn4_flops = 10 * 2 * (2 * 28 * 28 * 64 * 9 + 3 * blocks + 3 * 64 * 10)
    report("GEMM peak, GFLOP/s", peak / 1e9)
    report("CNN4 28x28: % of peak", 100 * cnn4_flops * four_layers.updates / cnn4 / peak)
    report("MLP 144-128-10, 4 runs: % of peak", 100 * mlp_flops * updates / mlp / peak)
    report("CNN 16-32, 4 runs: % of peak", 100 * cnn_flops * updates / cnn / peak)
    benchmark.pedantic(lambda: left @ left, rounds=3)


@pytest.mark.usefixtures("as_a_worker")
@pytest.mark.parametrize("labels", [10_000, 50_000])
@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_unequal_clients(benchmark, report, labels, epochs):
    """1,000 clients of lognormal sizes against ten equal ones with as many labels in all."""
    drawn = np.random.default_rng(0).lognormal(size=1000)
    sizes = np.maximum(1, np.round(drawn / drawn.sum() * labels)).astype(int).tolist()
    few, many = rounds([labels // 10] * 10, epochs), rounds(sizes, epochs)
    one, other = interleaved(few, many, repeats=5)
    wanted = "at most 1.5" if labels == 50_000 else ""
    report(f"1,000 unequal clients, {labels} labels, {epochs} epochs", other / one, wanted)
    benchmark.pedantic(many, rounds=1)


def rounds(sizes: list[int], epochs: int) -> Callable[[], None]:
    """Return two rounds of clients with so many labels each, averaging included."""
    architecture = Architecture(ModelSpec(kind="mlp", hidden=(128,)), (1, 8, 16), 100)
    recipe = LocalTraining(epochs, 10, 0.2, 0.8, 0.0, None)
    generator, streams = torch.Generator().manual_seed(1), Streams(0, "benchmark")
    clients = [
        (
            torch.randn(size, 1, 8, 16, generator=generator),
            torch.randint(100, (size,), generator=generator),
        )
        for size in sizes
    ]
    start = architecture.fresh(torch.Generator().manual_seed(0)).weights

    def run() -> None:
        weights = start
        for number in range(2):
            lanes = tuple(
                Lane(weights, *samples, streams.numpy("batches", number, client))
                for client, samples in enumerate(clients)
            )
            [answer] = train([TrainRequest(architecture, recipe, lanes)])
            weights = average(answer.weights, np.array(sizes))

    return run
