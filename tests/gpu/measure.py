"""Ways to train and to predict on a GPU, timed: which of them falbench should take.

    python tests/gpu/measure.py OUT [--images cifar10.npz] [SECTION ...]

Each measurement is a line of JSON in OUT/measured.jsonl. Sections that are finished there are left
out, so that the same command goes on where one was stopped; one that fails says why, and the next
one follows. All of them take about four minutes on an H100.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from fal_bench.learning.blocks import train_blocks
from fal_bench.learning.device import arithmetic, full_precision
from fal_bench.learning.graphed import train_graphed
from fal_bench.learning.inference import _folded, predict
from fal_bench.learning.model import Architecture, Model
from fal_bench.learning.request import Lane
from fal_bench.learning.sequential import train_sequentially
from fal_bench.plugins.aggregation import average
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

ROWS = 64
CLIENTS = 10
NUMBERS = ("float32", "tf32", "bf16")
RECIPE = LocalTraining(5, ROWS, 0.01, 0.9, 1e-5, None, augmentation="flip")

generator = torch.Generator().manual_seed(0)


def rate(call, events, seconds=0.4):
    """Return events a second; a call is ``events`` of them."""
    call()
    torch.cuda.synchronize()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(3):
            call()
        torch.cuda.synchronize()
        calls += 3
    return calls * events / (time.perf_counter() - started)


def architecture(kind, where="cuda"):
    return Architecture(ModelSpec(kind=kind), (3, 32, 32), 10, where)


def samples(count):
    images = torch.randn(count, 3, 32, 32, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)


class Client:
    """A client's step as a graph on its own stream, by any network."""

    def __init__(self, network, rows=ROWS, shape=lambda images: images):
        self.network = copy.deepcopy(network).cuda().train().to(memory_format=torch.channels_last)
        self.forward = self.network
        self.parameters = list(self.network.parameters())
        self.velocity = [torch.zeros_like(one) for one in self.parameters]
        self.nothing = [torch.zeros_like(one) for one in self.parameters]
        self.stream = torch.cuda.Stream()
        images, labels = samples(rows)
        self.images = shape(images).cuda().contiguous(memory_format=torch.channels_last)
        self.labels = labels.cuda()

    def loss(self):
        return cross_entropy(self.forward(self.images), self.labels)

    def step(self):
        found = torch.autograd.grad(self.loss(), self.parameters, allow_unused=True)
        gradients = [
            nothing if one is None else one
            for one, nothing in zip(found, self.nothing, strict=True)
        ]
        with torch.no_grad():
            gradients = torch._foreach_add(gradients, self.parameters, alpha=1e-5)
            torch._foreach_mul_(self.velocity, 0.9)
            torch._foreach_add_(self.velocity, gradients)
            torch._foreach_add_(self.parameters, self.velocity, alpha=-0.01)

    def record(self):
        torch.cuda.synchronize()
        with torch.cuda.stream(self.stream):
            for _ in range(3):
                self.step()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=self.stream):
            self.step()

    def replay(self):
        with torch.cuda.stream(self.stream):
            self.graph.replay()


def together(clients):
    for _ in range(20):
        for client in clients:
            client.replay()


def by_clients(clients):
    """Return updates a second with 1, 4, 10, ... of the clients side by side."""
    counts = [count for count in (1, 4, 10) if count <= len(clients)]
    return {
        count: round(rate(partial(together, clients[:count]), 20 * count, 0.3)) for count in counts
    }


def peak():
    """Return rates that the card reaches: products in TFLOP/s, copies in TB/s."""
    for numbers in NUMBERS:
        with arithmetic(numbers):
            one, other = (torch.randn(8192, 8192, device="cuda") for _ in range(2))
            products = rate(partial(torch.matmul, one, other), 2 * 8192**3 / 1e12)
        yield {"numbers": numbers, "tflops": round(products, 1)}
    one = torch.randn(2**28, device="cuda")
    copied = rate(partial(torch.empty_like(one).copy_, one), 2 * one.nbytes / 1e12)
    yield {"copy": round(copied, 2)}


def usual():
    """The usual loop: a data loader, the module, PyTorch's optimiser, its own settings."""
    for kind in ("cnn4", "resnet18"):
        network = copy.deepcopy(architecture(kind).network).train()
        loader = DataLoader(TensorDataset(*samples(2000)), ROWS, shuffle=True, pin_memory=True)
        optimiser = torch.optim.SGD(network.parameters(), 0.01, 0.9, weight_decay=1e-5)
        with FlopCounterMode(display=False) as counter:
            architecture(kind, "cpu").network(torch.zeros(1, 3, 32, 32))
        flops = 3 * counter.get_total_flops() / 1e9
        epoch = partial(usual_epoch, network, loader, optimiser)
        updates = round(rate(epoch, len(loader), 2))
        yield {"model": kind, "updates": updates, "gflop_a_sample": round(flops, 3)}


def usual_epoch(network, loader, optimiser):
    for images, labels in loader:
        optimiser.zero_grad()
        cross_entropy(network(images.to("cuda")), labels.to("cuda")).backward()
        optimiser.step()


def steps():
    """Recorded steps of one client each: kinds of numbers, clients side by side."""
    for kind in ("cnn4", "resnet18"):
        for numbers in NUMBERS:
            with arithmetic(numbers):
                clients = [Client(architecture(kind).network) for _ in range(CLIENTS)]
                for one in clients:
                    one.record()
                found = by_clients(clients)
            yield {"model": kind, "numbers": numbers, "updates": found}


def engines():
    """falbench's engines, whole: drawing, filling, copying and training, five epochs a call."""
    for kind, engine, counts, clients in (
        ("cnn4", train_blocks, (250, 1000, 4000), CLIENTS),
        ("cnn4", train_blocks, (1000,), 1),
        ("cnn4", train_blocks, (1000,), 40),
        ("cnn4", train_graphed, (1000,), CLIENTS),
        ("resnet18", train_graphed, (250,), CLIENTS),
    ):
        start = architecture(kind, "cpu").fresh(torch.Generator().manual_seed(0)).weights
        start = {name: tensor.cuda() for name, tensor in start.items()}
        for count in counts:
            data = [samples(count) for _ in range(clients)]
            data = [(images.cuda(), labels) for images, labels in data]
            updates = 5 * -(-count // ROWS)
            found = {}
            for numbers in NUMBERS if clients == CLIENTS else ("bf16",):
                call = partial(trained, partial(engine, numbers=numbers), kind, start, data)
                found[numbers] = round(rate(call, clients * updates))
            if engine is train_graphed and kind == "cnn4":
                call = partial(trained, train_sequentially, kind, start, data[:1])
                found["one step after the other"] = round(rate(call, updates))
            memory = round(torch.cuda.max_memory_allocated() / 2**30, 2)
            values = {"engine": engine.__name__, "clients": clients, "labels": count}
            yield {"model": kind, **values, "updates": found, "gib": memory}


def trained(engine, kind, start, data):
    lanes = [Lane(start, images, labels, np.random.default_rng(0)) for images, labels in data]
    with full_precision():
        engine(architecture(kind).network, RECIPE, lanes, 10)


def accuracy(images_file):
    """Federated training on images with each kind of numbers: seconds and test accuracy."""
    if images_file is None:
        raise ValueError("it needs --images")
    with np.load(images_file) as arrays:
        images, labels, test_images, test_labels = (
            torch.from_numpy(arrays[name])
            for name in ("train_images", "train_labels", "test_images", "test_labels")
        )
    images, test_images = (
        ((one.cuda().permute(0, 3, 1, 2).float() - 120.7) / 64.2).contiguous()
        for one in (images, test_images)
    )
    where = architecture("cnn4")
    for seed in range(2):
        rng = np.random.default_rng(seed)
        own = [torch.from_numpy(rng.choice(len(labels), 500, replace=False)) for _ in range(10)]
        data = [(images[one.cuda()], labels[one].long()) for one in own]
        for numbers in NUMBERS:
            model = where.fresh(torch.Generator().manual_seed(seed))
            started = time.perf_counter()
            for number in range(40):
                recipe = LocalTraining(
                    5, ROWS, 0.01 if number < 30 else 0.001, 0.9, 1e-5, None, augmentation="flip"
                )
                lanes = [
                    Lane(model.weights, *one, np.random.default_rng([seed, number, client]))
                    for client, one in enumerate(data)
                ]
                with full_precision():
                    done = train_blocks(where.network, recipe, lanes, 10, numbers=numbers)
                model = Model(where, average([one.weights for one in done], np.full(10, 500)))
            seconds = time.perf_counter() - started
            with full_precision():
                right = predict(model, test_images).logits.argmax(1) == test_labels.numpy()
            yield {
                "seed": seed,
                "numbers": numbers,
                "seconds": round(seconds, 1),
                "test": round(float(right.mean()), 4),
            }


def predictions():
    """Images a second by size of batch."""
    for kind in ("cnn4", "resnet18"):
        network, _ = _folded(architecture(kind))
        images = samples(16384)[0].cuda()
        for numbers in NUMBERS:
            found = {}
            for size in (256, 1024, 4096, 16384):
                parts = [
                    part.contiguous(memory_format=torch.channels_last)
                    for part in torch.split(images, size)
                ]
                with arithmetic(numbers), torch.inference_mode():
                    found[size] = round(rate(partial(through, network, parts), 16384))
            yield {"model": kind, "numbers": numbers, "images": found}


def through(network, parts):
    for part in parts:
        network(part)


class SideBySide(nn.Module):
    """cnn4 of many clients: channels side by side, convolutions in groups."""

    def __init__(self, width=64):
        super().__init__()
        layers, channels = [], 3
        for _ in range(4):
            layers += [
                nn.Conv2d(CLIENTS * channels, CLIENTS * width, 3, padding=1, groups=CLIENTS),
                nn.BatchNorm2d(CLIENTS * width),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Parameter(torch.randn(CLIENTS, width * 4, 10) * 0.05)

    def forward(self, images):
        out = self.body(images)
        return (out.reshape(len(out), CLIENTS, -1).transpose(0, 1) @ self.head).flatten(0, 1)


def grouped():
    """All clients in one network with grouped convolutions."""
    for numbers in NUMBERS:
        with arithmetic(numbers):
            client = Client(SideBySide(), ROWS * CLIENTS, side_by_side)
            client.record()
            updates = rate(partial(together, [client]), 20 * CLIENTS)
        yield {"numbers": numbers, "updates": round(updates)}


def side_by_side(images):
    return images.view(CLIENTS, ROWS, 3, 32, 32).transpose(0, 1).flatten(1, 2)


def compiled():
    """Steps whose forward and backward passes ``torch.compile`` has fused."""
    for kind in ("cnn4", "resnet18"):
        base = architecture(kind).network
        quick = torch.compile(partial(functional_loss, base))
        for numbers in ("tf32", "bf16"):
            with arithmetic(numbers):
                clients = [Client(base) for _ in range(CLIENTS)]
                started = time.perf_counter()
                for client in clients:
                    own = dict(client.network.named_parameters())
                    buffers = dict(client.network.named_buffers())
                    client.loss = partial(quick, own, buffers, client.images, client.labels)
                    client.record()
                seconds = time.perf_counter() - started
                found = by_clients(clients)
            yield {"model": kind, "numbers": numbers, "seconds": round(seconds), "updates": found}


def functional_loss(base, parameters, buffers, images, labels):
    logits = torch.func.functional_call(base, (parameters, buffers), (images,))
    return cross_entropy(logits.float(), labels)


def kernels():
    """Where the microseconds of a step of ten clients' cnn4 go, in the engine as a whole."""
    from torch.profiler import ProfilerActivity, profile

    start = architecture("cnn4", "cpu").fresh(torch.Generator().manual_seed(0)).weights
    start = {name: tensor.cuda() for name, tensor in start.items()}
    data = [samples(40 * ROWS) for _ in range(CLIENTS)]
    data = [(images.cuda(), labels) for images, labels in data]
    call = partial(trained, partial(train_blocks, numbers="bf16"), "cnn4", start, data)
    call()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        call()
        torch.cuda.synchronize()
    rows = [
        (one.self_device_time_total / 200, one.count / 200, one.key[:60])
        for one in seen.key_averages()
        if "aten::" not in one.key
    ]
    rows.sort(reverse=True)
    total = round(sum(micros for micros, _, _ in rows))
    for micros, count, name in rows[:16]:
        yield {"total": total, "micros": round(micros, 1), "count": count, "kernel": name}


SECTIONS = {
    one.__name__: one
    for one in (peak, usual, steps, engines, accuracy, predictions, grouped, kernels, compiled)
}


@contextmanager
def said_to(file):
    with file.open("a") as opened:

        def say(**values):
            line = json.dumps(values)
            print(line, flush=True)
            print(line, file=opened, flush=True)

        yield say


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=Path, help="npz of images of shape (n, H, W, C)")
    parser.add_argument("sections", nargs="*", metavar="SECTION", default=list(SECTIONS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "measured.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    finished = {json.loads(line).get("finished") for line in lines}
    with said_to(file) as say:
        say(card=torch.cuda.get_device_name(), torch=torch.__version__)
        for name in options.sections:
            if name in finished:
                continue
            started = time.perf_counter()
            rows = accuracy(options.images) if name == "accuracy" else SECTIONS[name]()
            try:
                for row in rows:
                    say(section=name, **row)
                    torch.cuda.empty_cache()
            except (RuntimeError, ValueError) as error:
                say(section=name, failed=f"{type(error).__name__}: {error}"[:300])
                continue
            say(finished=name, seconds=round(time.perf_counter() - started, 1))


if __name__ == "__main__":
    main()
