"""The stacked engine: the sequential engine's numbers, and the same bits in any company."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn

from fal_bench.learning.kernels.autograd import AutogradStep
from fal_bench.learning.kernels.cnn import CnnStep
from fal_bench.learning.kernels.mlp import MlpStep
from fal_bench.learning.model import Architecture
from fal_bench.learning.network import Network
from fal_bench.learning.request import Lane, padded_rows
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked.engine import step_of, train_stacked
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec
from fal_bench.trainers.evidential import Evidential
from fal_bench.trainers.kcfu import Kcfu

MODELS = {
    "mlp": Architecture(ModelSpec(kind="mlp", hidden=(16,)), (1, 8, 8), 5),
    "deep-mlp": Architecture(ModelSpec(kind="mlp", hidden=(11, 7)), (1, 3, 5), 5),
    "linear": Architecture(ModelSpec(kind="mlp", hidden=()), (24, 1, 1), 5),
    "odd-linear": Architecture(ModelSpec(kind="mlp", hidden=()), (3, 3, 3), 5),
    "dropped-mlp": Architecture(ModelSpec(kind="mlp", hidden=(11,), dropout=0.3), (1, 3, 5), 5),
    "cnn": Architecture(ModelSpec(kind="cnn", channels=(4, 6)), (1, 8, 8), 5),
    "digits-cnn": Architecture(ModelSpec(kind="cnn", channels=(16, 32)), (1, 8, 8), 10),
    "deep-cnn": Architecture(ModelSpec(kind="cnn", channels=(4, 3, 2)), (2, 9, 14), 4),
    "colour-cnn": Architecture(ModelSpec(kind="cnn", channels=(5,)), (3, 6, 6), 5),
    "series": Architecture(ModelSpec(kind="cnn1d", channels=(3, 4), kernel=5), (3, 1, 15), 5),
    "dropped-cnn": Architecture(ModelSpec(kind="cnn", channels=(3, 5), dropout=0.5), (1, 6, 14), 5),
}


def recipe(epochs=2, batch_size=4, lr=0.05, momentum=0.9, decay=1e-3, stop=None, **options):
    return LocalTraining(epochs, batch_size, lr, momentum, decay, stop, **options)


PLAIN = recipe(2, 10, 0.1, 0.0, 0.0)
MOMENTUM = recipe(3, 4, 0.01, 0.9, 1e-2)
RECIPES = {
    "plain": PLAIN,
    "decay": recipe(3, 4, 0.05, 0.0, 1e-2),
    "momentum": MOMENTUM,
    "odd-batch": recipe(2, 7, 0.05, 0.5, 0.0),
    "drop": recipe(4, 4, 0.05, 0.9, 1e-4, lr_drop_step=3),
    "drop-plain": recipe(4, 4, 0.05, 0.0, 1e-4, lr_drop_step=3),
    "stop": recipe(8, 8, 0.01, 0.9, 1e-5, 0.6),
    "kcfu": recipe(trainer=Kcfu()),
    "evidential": recipe(trainer=Evidential()),
    "distillation": recipe(trainer=Distillation()),
    "flip": recipe(augmentation="flip"),
    "flip-crop": recipe(augmentation="flip-crop"),
}
SIZES = [20, 13, 0, 31, 9, 20, 2, 5]


@pytest.fixture(params=MODELS)
def architecture(request):
    return MODELS[request.param]


def stacked(architecture, training, jobs):
    done = train_stacked(architecture.network, training, jobs, architecture.n_classes)
    return [lane.weights for lane in done]


def distances(network, training, ours, theirs, bound):
    """How far each lane's weights are apart in the two engines, in units of ``bound``."""
    classes = network.head.out_features
    pairs = zip(
        train_stacked(network, training, ours, classes),
        train_sequentially(network, training, theirs, classes),
        strict=True,
    )
    for one, other in pairs:
        assert one.weights.keys() == other.weights.keys()
        yield max(
            float(((t - other.weights[n]).abs() / (bound + bound * other.weights[n].abs())).max())
            for n, t in one.weights.items()
        )


# In double precision the engines differ by rounding alone, so that the narrow bound shows that the
# algorithm is one.
@pytest.mark.parametrize("training", RECIPES.values(), ids=RECIPES)
def test_it_agrees_with_the_sequential_engine(architecture, training, lanes):
    ours, theirs = (lanes(architecture, SIZES, dtype=torch.float64) for _ in range(2))
    network = copy.deepcopy(architecture.network).double()
    assert max(distances(network, training, ours, theirs, 1e-7)) < 1


# In single precision a value within rounding of zero, or of its neighbour in a pooling window, may
# pass in one engine and not in the other. Which lanes that meets depends on the processor.
@pytest.mark.parametrize("training", RECIPES.values(), ids=RECIPES)
def test_it_agrees_in_single_precision_but_for_kinks(architecture, training, lanes):
    ours, theirs = (lanes(architecture, SIZES) for _ in range(2))
    apart = list(distances(architecture.network, training, ours, theirs, 2e-5))
    assert sum(distance > 1 for distance in apart) <= 1
    assert max(apart) < 1000


@pytest.mark.parametrize("name", ["plain", "stop", "kcfu", "distillation", "flip-crop"])
@pytest.mark.parametrize("company", [2, 9, 100])
def test_a_lane_has_the_same_bits_alone_and_in_any_company(
    architecture, name, company, lane, lanes, same_bits
):
    training = RECIPES[name]
    sizes = [(7 * number) % 23 + 2 for number in range(company)]
    together = stacked(architecture, training, lanes(architecture, sizes))
    for number in {0, company // 2, company - 1}:
        [alone] = stacked(architecture, training, [lane(architecture, sizes[number], number)])
        same_bits(alone, together[number])


@settings(max_examples=25)
@given(
    model=st.sampled_from(sorted(MODELS)),
    sizes=st.lists(st.integers(1, 25), min_size=1, max_size=24),
    batch_size=st.integers(1, 9),
    order=st.randoms(use_true_random=False),
)
def test_neither_order_nor_sizes_of_the_company_matter(
    model, sizes, batch_size, order, lanes, same_bits
):
    architecture, training = MODELS[model], recipe(2, batch_size, 0.05, 0.9, 1e-4, 0.7)
    shuffled = list(range(len(sizes)))
    order.shuffle(shuffled)
    first = stacked(architecture, training, lanes(architecture, sizes))
    jobs = lanes(architecture, sizes)
    second = stacked(architecture, training, [jobs[number] for number in shuffled])
    for place, number in enumerate(shuffled):
        same_bits(second[place], first[number])


def test_lanes_stop_each_at_its_own_epoch(architecture, lanes):
    training = recipe(30, 4, 0.05, 0.9, 0.0, 0.99)
    jobs, twins = lanes(architecture, [2, 4, 8, 16, 30]), lanes(architecture, [2, 4, 8, 16, 30])
    ours, theirs = (
        train(architecture.network, training, some, architecture.n_classes, keep_epochs=True)
        for train, some in ((train_stacked, jobs), (train_sequentially, twins))
    )
    epochs = [len(one.epochs) for one in ours]
    assert epochs == [len(one.epochs) for one in theirs]
    assert len(set(epochs)) > 1
    # The streams stand where the sequential engine's do.
    assert [job.rng.random() for job in jobs] == [twin.rng.random() for twin in twins]


def test_a_narrow_memory_budget_changes_nothing_but_the_chunks(
    architecture, lanes, same_bits, monkeypatch
):
    sizes = [20, 13, 6, 31, 9]
    free = stacked(architecture, PLAIN, lanes(architecture, sizes))
    monkeypatch.setattr("fal_bench.learning.stacked.engine.MEMORY_BUDGET", 5000)
    for ours, theirs in zip(
        stacked(architecture, PLAIN, lanes(architecture, sizes)), free, strict=True
    ):
        same_bits(ours, theirs)


def test_starts_are_left_as_they_were(architecture, lanes, same_bits):
    jobs = lanes(architecture, [9, 0])
    before = [{name: tensor.clone() for name, tensor in job.start.items()} for job in jobs]
    trained = stacked(architecture, PLAIN, jobs)
    for job, kept in zip(jobs, before, strict=True):
        same_bits(job.start, kept)
    same_bits(trained[1], before[1])
    assert not torch.equal(trained[0]["head.bias"], before[0]["head.bias"])


def test_the_padding_follows_from_the_lane_and_its_recipe():
    assert [padded_rows(count, 10) for count in (1, 8, 9, 10, 200)] == [8, 8, 10, 10, 10]
    assert [padded_rows(count, 7) for count in (1, 7, 9)] == [8, 8, 8]
    assert [padded_rows(count, 64) for count in (20, 64, 70)] == [24, 64, 64]


def test_real_digits_whose_blank_regions_tie():
    data = load_digits()
    features = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)
    architecture = MODELS["digits-cnn"]
    ours, theirs = (
        [
            Lane(
                architecture.fresh(torch.Generator().manual_seed(number)).weights,
                features[50 * number : 50 * number + size],
                torch.tensor(data.target)[50 * number : 50 * number + size],
                np.random.default_rng(number),
            )
            for number, size in enumerate([50, 23, 7, 50])
        ]
        for _ in range(2)
    )
    training = recipe(3, 10, 0.05, 0.9, 1e-3)
    assert max(distances(architecture.network, training, ours, theirs, 1e-5)) < 1


GENERAL = ["dropped-mlp", "dropped-cnn", "series"]


@pytest.mark.parametrize("name", MODELS)
def test_every_training_gets_its_fastest_step(name):
    steps = {case: type(step_of(MODELS[name].network, one)) for case, one in RECIPES.items()}
    fast = MlpStep if name.endswith(("mlp", "linear")) else CnnStep
    slow = {"kcfu"} | ({"flip", "flip-crop"} if fast is CnnStep else set())
    if name in GENERAL:
        slow = set(RECIPES)
    assert steps == {case: AutogradStep if case in slow else fast for case in RECIPES}


def convolution(**options):
    return nn.Conv2d(1, 4, **{"kernel_size": 3, "padding": 1, **options})


def network_of(*body, size=64):
    return Network(nn.Sequential(*body, nn.Flatten()), size, 5)


@pytest.mark.parametrize(
    ("body", "size"), [([convolution(), nn.ReLU()], 256), ([convolution(), nn.MaxPool2d(2)], 64)]
)
def test_other_chains_of_known_layers_take_the_general_step(body, size):
    network = network_of(*copy.deepcopy(body), size=size)
    assert type(step_of(network, PLAIN)) is AutogradStep
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    def jobs():
        generator = torch.Generator().manual_seed(0)
        for count in (12, 20, 7):
            features = torch.randn(count, 1, 8, 8, generator=generator)
            labels = torch.randint(5, (count,), generator=generator)
            yield Lane(start, features, labels, np.random.default_rng(count))

    assert max(distances(network, MOMENTUM, list(jobs()), list(jobs()), 1e-5)) < 1


@pytest.mark.parametrize(
    "body",
    [
        [convolution(kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(padding=0), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(stride=2), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(dilation=2), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(bias=False), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(padding_mode="reflect"), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(), nn.ReLU(), nn.MaxPool2d(3)],
        [convolution(), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)],
        [convolution(), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(), nn.Tanh(), nn.MaxPool2d(2)],
        [nn.Sequential(convolution(), nn.ReLU()), nn.ModuleList([nn.MaxPool2d(2)])],
    ],
)
def test_what_no_step_is_written_for_is_refused(body):
    with pytest.raises(TypeError, match="cannot be stacked"):
        step_of(network_of(*body), PLAIN)


def test_models_of_the_sequential_engine_are_refused():
    with pytest.raises(TypeError, match="BatchNorm2d"):
        step_of(Architecture(ModelSpec(kind="cnn4", width=6), (1, 16, 16), 5).network, PLAIN)
