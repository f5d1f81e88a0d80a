"""What is added to a step, and who takes it: FedProx, corrections, Adam, momenta that are kept."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from fal_bench.learning.kernels.autograd import AutogradStep
from fal_bench.learning.kernels.chain import chain_of
from fal_bench.learning.model import Architecture
from fal_bench.learning.request import Momenta, batches
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked import engine
from fal_bench.learning.stacked.engine import train_stacked
from fal_bench.plugins.needs import Adam, LocalTraining
from fal_bench.task import ModelSpec

MODELS = {
    "mlp": Architecture(ModelSpec(kind="mlp", hidden=(11, 7)), (1, 3, 5), 5),
    "cnn": Architecture(ModelSpec(kind="cnn", channels=(4, 3)), (2, 6, 9), 4),
}


def recipe(lr=0.05, momentum=0.0, decay=0.0, **options):
    return LocalTraining(2, 4, lr, momentum, decay, None, **options)


RECIPES = {
    "fedprox": recipe(proximal=0.7),
    "fedprox-decay": recipe(decay=0.01, proximal=0.7),
    "fedprox-momentum": recipe(momentum=0.9, decay=0.01, proximal=0.7),
    "momentum": recipe(momentum=0.9),
    "adam": recipe(lr=0.01, decay=0.1, adam=Adam()),
    "adamw": recipe(lr=0.01, decay=0.1, proximal=0.7, adam=Adam(0.8, 0.9, 1e-3, decoupled=True)),
}
SIZES = [13, 9, 2, 20]


def in_plain_pytorch(architecture, training, lane, momenta=None):
    """Train with ``torch.optim``; return the weights and the optimiser."""
    network = copy.deepcopy(architecture.network).to(next(iter(lane.start.values())).dtype)
    network.load_state_dict(lane.start)
    named = dict(network.named_parameters())
    start = {name: one.detach().clone() for name, one in named.items()}
    common = {"lr": training.lr, "weight_decay": training.weight_decay}
    if training.adam is None:
        optimiser = torch.optim.SGD(named.values(), momentum=training.momentum, **common)
    else:
        kind = torch.optim.AdamW if training.adam.decoupled else torch.optim.Adam
        betas = (training.adam.beta1, training.adam.beta2)
        optimiser = kind(named.values(), betas=betas, eps=training.adam.epsilon, **common)
    if momenta is not None:
        optimiser.load_state_dict(momenta)
    for _ in range(training.epochs):
        for chosen in batches(len(lane.labels), training.batch_size, lane.rng):
            optimiser.zero_grad()
            cross_entropy(network(lane.features[chosen]), lane.labels[chosen]).backward()
            for name, one in named.items():
                one.grad += training.proximal * (one.detach() - start[name])
                if lane.correction is not None:
                    one.grad += lane.correction[name]
            optimiser.step()
    return dict(network.state_dict()), optimiser.state_dict()


def corrected(lanes):
    generator = torch.Generator().manual_seed(5)
    return [
        replace(
            one,
            correction={
                name: 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype)
                for name, t in one.start.items()
            },
        )
        for one in lanes
    ]


def assert_close(ours, theirs, bound=1e-6):
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name], tensor, rtol=bound, atol=bound), name


@pytest.fixture(params=MODELS)
def architecture(request):
    return MODELS[request.param]


@pytest.fixture(params=["by hand", "by autograd", "sequentially"])
def train_lanes(request, monkeypatch):
    """The engines, and the two kinds of steps of the stacked one."""
    if request.param == "by autograd":
        monkeypatch.setattr(
            engine, "step_of", lambda network, training: AutogradStep(chain_of(network), training)
        )
    return train_sequentially if request.param == "sequentially" else train_stacked


@pytest.mark.parametrize("with_correction", [False, True])
@pytest.mark.parametrize("training", RECIPES.values(), ids=RECIPES)
def test_a_step_is_that_of_plain_pytorch(
    architecture, training, with_correction, lanes, train_lanes
):
    ours, theirs = (lanes(architecture, SIZES, dtype=torch.float64) for _ in range(2))
    if with_correction:
        ours, theirs = corrected(ours), corrected(theirs)
    network = copy.deepcopy(architecture.network).double()
    done = train_lanes(network, training, ours, architecture.n_classes)
    for lane, trained in zip(theirs, done, strict=True):
        assert_close(trained.weights, in_plain_pytorch(architecture, training, lane)[0])


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_momenta_go_on_where_they_were(architecture, name, lanes, train_lanes):
    training = RECIPES[name]
    network = copy.deepcopy(architecture.network).double()
    ours, theirs = (lanes(architecture, SIZES, dtype=torch.float64) for _ in range(2))
    ours = [replace(one, momenta=Momenta()) for one in ours]
    first = train_lanes(network, training, ours, architecture.n_classes)
    # A last lane at rest beside those that are not: its second round begins as its first one.
    again = [
        replace(lane, start=done.weights, momenta=done.momenta)
        for lane, done in zip(ours, first, strict=True)
    ]
    again[-1] = replace(again[-1], momenta=Momenta())
    second = train_lanes(network, training, again, architecture.n_classes)
    for number, (lane, trained) in enumerate(zip(theirs, second, strict=True)):
        weights, state = in_plain_pytorch(architecture, training, lane)
        kept = state if number < len(SIZES) - 1 else None
        weights, _ = in_plain_pytorch(
            architecture, training, replace(lane, start=weights), momenta=kept
        )
        assert_close(trained.weights, weights)
        assert trained.momenta.steps == sum(
            training.epochs * -(-len(lane.labels) // training.batch_size)
            for _ in range(2 if kept else 1)
        )


@pytest.mark.parametrize("with_correction", [False, True])
@pytest.mark.parametrize("name", ["fedprox", "fedprox-momentum", "adam", "adamw"])
def test_a_lane_has_the_same_bits_alone_and_in_company(
    architecture, name, with_correction, lanes, same_bits
):
    training = RECIPES[name]

    def jobs():
        drawn = lanes(architecture, [(7 * number) % 23 + 2 for number in range(40)])
        drawn = [replace(one, momenta=Momenta()) for one in drawn]
        mixed = corrected(drawn) if with_correction else drawn
        return drawn[:20] + mixed[20:]  # some bring no correction

    together = train_stacked(architecture.network, training, jobs(), architecture.n_classes)
    for number in (0, 13, 39):
        [alone] = train_stacked(
            architecture.network, training, [jobs()[number]], architecture.n_classes
        )
        same_bits(alone.weights, together[number].weights)
        same_bits(alone.momenta.first, together[number].momenta.first)
        same_bits(alone.momenta.second, together[number].momenta.second)


def test_a_lane_without_samples_keeps_its_momenta(architecture, lane, train_lanes):
    momenta = Momenta(3)
    [done] = train_lanes(
        architecture.network,
        RECIPES["momentum"],
        [replace(lane(architecture, 0), momenta=momenta, rng=np.random.default_rng(0))],
        architecture.n_classes,
    )
    assert done.momenta is momenta
