"""The engine of convolution blocks: what the sequential one computes, alone and in company.

On a GPU its kernels are compiled; elsewhere Triton interprets them, which is slow, so that fewer
recipes and smaller networks are trained there.
"""

import copy
import gc
import os
import subprocess
import sys
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from fal_bench.learning import blocks, engine
from fal_bench.learning.blocks import has_blocks, train_blocks
from fal_bench.learning.model import Architecture
from fal_bench.learning.request import TrainRequest
from fal_bench.learning.sequential import train_sequentially
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

pytest.importorskip("triton", reason="Triton is not for this system")

HAS_GPU = torch.cuda.is_available()
DEVICE = "cuda" if HAS_GPU else "cpu"
needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="PyTorch finds no CUDA device")

SHAPE = (2, 16, 17)
PLAIN = LocalTraining(2, 4, 0.02, 0.9, 1e-3, None)
RECIPES = {
    "drop and flip-crop": replace(PLAIN, lr_drop_step=3, augmentation="flip-crop"),
    "stop": replace(PLAIN, epochs=4, stop_at_accuracy=0.6),
    "patience": replace(PLAIN, epochs=4, patience=1, momentum=0.0, weight_decay=0.0),
}
SIZES = (6, 0, 3)


def architecture(where="cpu", shape=SHAPE, **spec):
    return Architecture(ModelSpec(kind="cnn4", **spec), shape, 4, where)


def exact(architecture):
    """A network of 64-bit numbers: training in shorter ones soon goes other ways."""
    return copy.deepcopy(architecture.network).double()


def state_of(lane):
    return lane.rng.bit_generator.state["state"]["state"]


@pytest.mark.parametrize(
    ("recipe", "dropout"),
    [("drop and flip-crop", 0.3), ("stop", 0.0), ("patience", 0.0)]
    + [pytest.param(name, 0.3, marks=needs_gpu) for name in ("stop", "patience")],
)
def test_it_trains_as_the_sequential_engine_does(lanes, recipe, dropout):
    base, recipe = architecture(width=3, dropout=dropout), RECIPES[recipe]
    here, there = (lanes(base, SIZES, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        for job in (*here, *there):  # scales of both signs
            job.start["body.1.weight"][0] = -0.7
    expected = train_sequentially(exact(base), recipe, here, 4, keep_epochs=True)
    network = exact(architecture(DEVICE, width=3, dropout=dropout))
    trained = train_blocks(network, recipe, there, 4, True, numbers="float32")
    for one, other, job, twin in zip(trained, expected, there, here, strict=True):
        assert state_of(job) == state_of(twin)
        assert len(one.epochs) == len(other.epochs)
        ends = [(one.weights, other.weights), *zip(one.epochs, other.epochs, strict=True)]
        for ours, theirs in ends:
            assert ours.keys() == theirs.keys()
            for name, tensor in theirs.items():
                torch.testing.assert_close(ours[name].cpu(), tensor, rtol=1e-6, atol=1e-8)


@needs_gpu
@pytest.mark.parametrize("numbers", ["bf16", "tf32", "float32"])
def test_a_lane_has_the_same_bits_in_any_company(lanes, same_bits, numbers):
    sizes = (130, 40, 0, 5, 21, 400)
    network = architecture("cuda", (3, 32, 32)).network
    base, recipe = architecture(shape=(3, 32, 32)), replace(PLAIN, batch_size=16)
    train = partial(train_blocks, numbers=numbers)
    together = train(network, recipe, lanes(base, sizes), 4)
    for number, company in enumerate(together):
        blocks._STACKS.clear()
        [alone] = train(network, recipe, [lanes(base, sizes)[number]], 4)
        same_bits(alone.weights, company.weights)
    many = [job for _ in range(8) for job in lanes(base, sizes)]
    for number, one in enumerate(train(network, recipe, many, 4)):
        same_bits(one.weights, together[number % len(sizes)].weights)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, which interprets
def test_what_is_not_a_number_is_not_hidden(lanes):
    base = architecture(width=3)
    [job] = lanes(base, (3,), dtype=torch.float64)
    job.features[0, 0, 0, 0] = np.nan
    network = exact(architecture(DEVICE, width=3))
    recipe = replace(PLAIN, epochs=1)
    [trained] = train_blocks(network, recipe, [job], 4, numbers="float32")
    assert torch.isnan(trained.weights["head.weight"]).any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, which interprets
def test_samples_may_lie_in_any_order_in_memory(lanes, same_bits):
    base, recipe = architecture(width=3), replace(PLAIN, epochs=1)
    found = []
    for channels_last in (False, True):
        [job] = lanes(base, (5,), dtype=torch.float64)
        features = job.features.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        job = replace(job, features=features) if channels_last else job
        [one] = train_blocks(
            exact(architecture(DEVICE, width=3)), recipe, [job], 4, False, "float32"
        )
        found.append(one.weights)
    same_bits(*found)


def test_a_stack_that_is_dropped_gives_its_memory_back_at_once():
    stack = blocks._Stack(architecture(DEVICE, width=3).network, PLAIN, 2, 70, SHAPE, "float32")
    alive = weakref.ref(stack)
    gc.disable()
    try:
        del stack
        assert alive() is None
    finally:
        gc.enable()


def test_what_does_not_fit_goes_to_another_engine(monkeypatch, lanes):
    base = architecture()
    [job] = lanes(base, (5,))
    monkeypatch.setattr(engine, "engine_of", lambda _: "blocks")
    plain = TrainRequest(base, PLAIN, (job,))
    assert engine._engine_for(plain) == "blocks"
    large = TrainRequest(base, replace(PLAIN, batch_size=1_000_000), (job,))
    assert engine._engine_for(large) == "sequential"
    many = replace(job, features=job.features[:1].expand(2**22, *SHAPE), labels=torch.zeros(2**22))
    assert engine._engine_for(TrainRequest(base, PLAIN, (job, many))) == "sequential"


COMPILE = """
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from fal_bench.learning import blocks
from fal_bench.learning.model import Architecture
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

KINDS = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64",
         torch.int32: "*i32", torch.int8: "*i8", float: "fp32", int: "i32"}
compiled = set()

def compile_only(self, *args, grid, warmup, **named):
    values = dict(zip(self.arg_names, args)) | named
    constant = {(one.num,): values[one.name] for one in self.params if one.is_constexpr}
    kinds = {
        one.name: "constexpr" if one.is_constexpr
        else KINDS[getattr(values[one.name], "dtype", type(values[one.name]))]
        for one in self.params
    }
    if (key := (self.__name__, str(kinds), str(constant))) not in compiled:
        compiled.add(key)
        triton.compile(ASTSource(self, kinds, constant), target=GPUTarget("cuda", 90, 32))
        print(self.__name__)

JITFunction.run = compile_only
network = Architecture(ModelSpec(kind="cnn4", dropout=0.1), (3, 32, 32), 10).network
recipe = LocalTraining(1, 64, 0.1, 0.9, 0.0, None)
stack = blocks._Stack(network, recipe, 2, 70, (3, 32, 32), "bf16")
stack._source, stack._truths = torch.zeros(2, 3, 32, 32), torch.zeros(2, dtype=torch.int64)
stack.correct({})
stack._look()
stack.train()
"""


def test_the_kernels_compile_for_a_gpu(tmp_path):
    """What Triton interprets can still be wrong in its types; its compiler needs no GPU."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {"fill", "convolve", "weigh", "pool", "spread", "lose", "hit"} <= {*done.stdout.split()}


def test_other_networks_are_not_of_blocks(monkeypatch):
    monkeypatch.setenv("CC", "cc")
    blocks._can_compile.cache_clear()
    assert has_blocks(architecture().network)
    for kind, params in (
        ("cnn", {"channels": (4, 6)}),
        ("mlp", {"hidden": (4,)}),
        ("resnet18", {}),
    ):
        other = Architecture(ModelSpec(kind=kind, **params), (1, 12, 12), 3)
        assert not has_blocks(other.network)
    many = Architecture(ModelSpec(kind="cnn4"), SHAPE, blocks.CLASSES + 1)
    assert not has_blocks(many.network)
    blocks._can_compile.cache_clear()
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "")
    assert not has_blocks(architecture().network)
    blocks._can_compile.cache_clear()
