"""The engine of recorded steps, on a GPU: what the other engines compute, alone and in company."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from fal_bench.learning.device import full_precision
from fal_bench.learning.model import Architecture
from fal_bench.learning.sequential import train_sequentially
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch finds no CUDA device"
)

SHAPE = (3, 32, 32)
PLAIN = LocalTraining(3, 8, 0.02, 0.9, 1e-3, None)
RECIPES = {
    "plain": PLAIN,
    "without momentum": replace(PLAIN, momentum=0.0, weight_decay=0.0),
    "drop": replace(PLAIN, lr_drop_step=4),
    "flip": replace(PLAIN, augmentation="flip"),
    "flip-crop": replace(PLAIN, augmentation="flip-crop"),
    "stop": replace(PLAIN, epochs=30, stop_at_accuracy=0.9),
    "patience": replace(PLAIN, epochs=12, patience=2),
}
SIZES = (13, 40, 0, 5, 21, 40)


def architecture(where, **spec):
    return Architecture(ModelSpec(kind="cnn4", **spec), SHAPE, 4, where)


@pytest.fixture
def graphed():
    from fal_bench.learning.graphed import train_graphed

    with full_precision():
        yield partial(train_graphed, numbers="float32")


def exact(architecture):
    """A network of 64-bit numbers: training in shorter ones soon goes other ways."""
    return copy.deepcopy(architecture.network).double()


def state_of(lane):
    return lane.rng.bit_generator.state["state"]["state"]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("recipe", RECIPES)
def test_it_trains_as_the_processor_does(graphed, lanes, recipe, dropout):
    spec = {"width": 8, "dropout": dropout}
    base = architecture("cpu", **spec)
    here, there = (lanes(base, SIZES, dtype=torch.float64) for _ in range(2))
    expected = train_sequentially(exact(base), RECIPES[recipe], here, 4, keep_epochs=True)
    trained = graphed(exact(architecture("cuda", **spec)), RECIPES[recipe], there, 4, True)
    for one, other, job, twin in zip(trained, expected, there, here, strict=True):
        assert state_of(job) == state_of(twin)
        assert len(one.epochs) == len(other.epochs)
        for name, tensor in other.weights.items():
            torch.testing.assert_close(one.weights[name].cpu(), tensor, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["cnn4", "resnet18"])
def test_a_lane_has_the_same_bits_in_any_company(graphed, lanes, same_bits, kind):
    network = Architecture(ModelSpec(kind=kind), SHAPE, 4, "cuda").network
    base = Architecture(ModelSpec(kind=kind), SHAPE, 4)
    together = graphed(network, PLAIN, lanes(base, SIZES), 4)
    for number, company in enumerate(together):
        [alone] = graphed(network, PLAIN, [lanes(base, SIZES)[number]], 4)
        same_bits(alone.weights, company.weights)
    many = [job for _ in range(4) for job in lanes(base, SIZES)]
    for number, one in enumerate(graphed(network, PLAIN, many, 4)):
        same_bits(one.weights, together[number % len(SIZES)].weights)


def test_the_start_is_left_as_it_was(graphed, lane, same_bits):
    job = lane(architecture("cpu"), 9)
    before = {name: tensor.clone() for name, tensor in job.start.items()}
    graphed(architecture("cuda").network, PLAIN, [job], 4)
    same_bits(job.start, before)


def test_a_longer_epoch_and_other_batches_follow(graphed, lane):
    network = exact(architecture("cuda", width=8))
    for count in (9, 70, 20, 300):
        base = architecture("cpu", width=8)
        here, there = (lane(base, count, dtype=torch.float64) for _ in range(2))
        [expected] = train_sequentially(exact(base), PLAIN, [here], 4)
        [trained] = graphed(network, PLAIN, [there], 4)
        outputs = [np.asarray(one.weights["head.bias"].cpu()) for one in (trained, expected)]
        np.testing.assert_allclose(*outputs, rtol=1e-6, atol=1e-8)
