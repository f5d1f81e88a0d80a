"""Other losses than cross-entropy, in both engines: one algorithm, the same bits in company."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from fal_bench.errors import PluginError
from fal_bench.learning.engine import train
from fal_bench.learning.model import Architecture
from fal_bench.learning.request import Lane, TrainRequest
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked.autograd import AutogradStep
from fal_bench.learning.stacked.cnn import CnnStep
from fal_bench.learning.stacked.engine import step_of, train_stacked
from fal_bench.learning.stacked.mlp import MlpStep
from fal_bench.learning.stopping import Stopping
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.needs import LocalTraining
from fal_bench.plugins.trainer import Trainer
from fal_bench.task import ModelSpec
from fal_bench.trainers.cross_entropy import CrossEntropy
from fal_bench.trainers.evidential import Evidential
from fal_bench.trainers.kcfu import Kcfu

MODELS = {
    "mlp": Architecture(ModelSpec(kind="mlp", hidden=(16,)), (1, 8, 8), 5),
    "odd-mlp": Architecture(ModelSpec(kind="mlp", hidden=(11,)), (1, 3, 5), 5),
    "linear": Architecture(ModelSpec(kind="mlp", hidden=()), (9, 1, 1), 5),
    "cnn": Architecture(ModelSpec(kind="cnn", channels=(4, 6)), (1, 8, 8), 5),
    "odd-cnn": Architecture(ModelSpec(kind="cnn", channels=(3, 5)), (1, 6, 14), 5),
    "cnn4": Architecture(ModelSpec(kind="cnn4", width=6), (1, 16, 16), 5),
}
TRAINERS = {"kcfu": Kcfu(), "evidential": Evidential(), "distillation": Distillation()}
RECIPE = LocalTraining(2, 4, 0.05, 0.9, 1e-3, None)


@pytest.fixture(params=MODELS)
def architecture(request):
    return MODELS[request.param]


@pytest.fixture(params=TRAINERS)
def recipe(request):
    return replace(RECIPE, trainer=TRAINERS[request.param])


def lane(architecture, count, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    shape = architecture.input_shape
    start = architecture.fresh(generator).weights
    mixable = (seed * 5) % 7  # some lanes have nothing to mix
    return Lane(
        {name: t.to(dtype) if t.is_floating_point() else t for name, t in start.items()},
        torch.randn(count, *shape, generator=generator, dtype=dtype),
        torch.randint(architecture.n_classes, (count,), generator=generator),
        np.random.default_rng(seed),
        round=seed % 3,
        unlabelled=torch.randn(mixable, *shape, generator=generator, dtype=dtype),
        teacher_logits=torch.randn(count, architecture.n_classes, generator=generator, dtype=dtype),
    )


def lanes(architecture, sizes, **options):
    return [lane(architecture, count, seed, **options) for seed, count in enumerate(sizes)]


def close(ours, theirs, bound):
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=bound, atol=bound, msg=name)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-5), (torch.float64, 1e-7)])
def test_both_engines_agree(architecture, recipe, dtype, bound):
    # Never a single sample in a batch of the CNN4: its normalisation amplifies rounding there.
    sizes = [20, 14, 0, 6, 31, 12, 10, 2]
    network = copy.deepcopy(architecture.network).to(dtype)
    stacked = train_stacked(network, recipe, lanes(architecture, sizes, dtype=dtype), 5)
    plain = train_sequentially(network, recipe, lanes(architecture, sizes, dtype=dtype), 5)
    if architecture is MODELS["cnn4"]:  # normalisation amplifies rounding
        bound *= 100
    for ours, theirs in zip(stacked, plain, strict=True):
        close(ours.weights, theirs.weights, bound)


@pytest.mark.parametrize("company", [2, 9, 33])
def test_a_lane_has_the_same_bits_in_any_company(architecture, recipe, company):
    sizes = [(7 * number) % 23 + 2 for number in range(company)]
    together = train_stacked(architecture.network, recipe, lanes(architecture, sizes), 5)
    for number in {0, company // 2, company - 1}:
        job = lane(architecture, sizes[number], number)
        [alone] = train_stacked(architecture.network, recipe, [job], 5)
        for name, tensor in alone.weights.items():
            assert torch.equal(tensor, together[number].weights[name]), name


def test_only_mixtures_need_the_general_step():
    for name, kind in (("mlp", MlpStep), ("odd-mlp", MlpStep), ("cnn", CnnStep)):
        for trainer in TRAINERS.values():
            step = step_of(MODELS[name].network, replace(RECIPE, trainer=trainer, patience=2))
            assert type(step) is (AutogradStep if trainer == Kcfu() else kind)


def test_mixtures_move_the_model_from_the_second_round_on():
    architecture = MODELS["mlp"]
    recipe = replace(RECIPE, trainer=Kcfu())

    def trained(number, unlabelled):
        job = replace(lane(architecture, 12, 1), round=number)
        if not unlabelled:
            job = replace(job, unlabelled=None)
        return train_stacked(architecture.network, recipe, [job], 5)[0].weights["head.bias"]

    # The draws of the mixtures shift the batches of later epochs, so one epoch is compared.
    recipe = replace(recipe, epochs=1)
    assert torch.equal(trained(0, True), trained(0, False))
    assert not torch.equal(trained(1, True), trained(1, False))


def test_the_trainer_none_is_cross_entropy(architecture):
    jobs = [lanes(architecture, [9, 5]) for _ in range(2)]
    one = train_stacked(architecture.network, RECIPE, jobs[0], 5)
    named = replace(RECIPE, trainer=CrossEntropy())
    other = train_stacked(architecture.network, named, jobs[1], 5)
    for ours, theirs in zip(one, other, strict=True):
        close(ours.weights, theirs.weights, 0)


def test_weights_after_every_epoch(architecture):
    # What is kept after epoch e is what e epochs give, in both engines.
    whole = replace(RECIPE, epochs=3)
    for engine in (train_stacked, train_sequentially):
        kept = engine(architecture.network, whole, lanes(architecture, [13, 6, 0]), 5, True)
        assert [len(one.epochs) for one in kept] == [3, 3, 0]
        for epochs in (1, 2, 3):
            shorter = replace(RECIPE, epochs=epochs)
            jobs = lanes(architecture, [13, 6, 0])
            for one, twin in zip(
                kept[:2], engine(architecture.network, shorter, jobs, 5)[:2], strict=True
            ):
                close(one.epochs[epochs - 1], twin.weights, 0)


def test_kept_epochs_come_with_the_answer_and_change_nothing_else():
    architecture = MODELS["mlp"]
    plain = TrainRequest(architecture, RECIPE, tuple(lanes(architecture, [9])), key="one")
    kept = TrainRequest(architecture, RECIPE, tuple(lanes(architecture, [9])), "one", True)
    first, second = train([plain, kept])
    assert first.epochs == ()
    assert len(second.epochs[0]) == 2
    close(first.weights[0], second.weights[0], 0)


def test_patience_stops_both_engines_at_the_same_epoch():
    architecture = MODELS["mlp"]
    recipe = replace(RECIPE, epochs=60, lr=0.5, patience=2, trainer=Distillation())
    jobs, twins = lanes(architecture, [12, 7, 20]), lanes(architecture, [12, 7, 20])
    stacked = train_stacked(architecture.network, recipe, jobs, 5, True)
    plain = train_sequentially(architecture.network, recipe, twins, 5, True)
    epochs = [len(one.epochs) for one in stacked]
    assert epochs == [len(one.epochs) for one in plain]
    assert min(epochs) < 60
    assert len(set(epochs)) > 1


def test_patience_counts_epochs_without_a_new_lowest_loss():
    stopping = Stopping(LocalTraining(epochs=99, stop_at_accuracy=None, patience=2), 10)
    ends = []
    for loss in (3.0, 2.0, 2.5, 1.9, 1.9, 2.0):
        stopping.count(0, loss)
        ends.append(stopping.end_epoch())
    assert ends == [False, False, False, False, False, True]


def test_a_loss_of_another_shape_is_refused(architecture):
    class Mean(Trainer):
        name = "mean"

        def losses(self, logits, batch):
            return logits.logsumexp(-1).mean()

    recipe = replace(RECIPE, trainer=Mean())
    for engine in (train_stacked, train_sequentially):
        with pytest.raises(PluginError, match=r"'mean': losses must return one loss a sample"):
            engine(architecture.network, recipe, lanes(architecture, [5, 9]), 5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda losses: None, "must return a torch.Tensor of shape .* not None"),
        (lambda losses: losses.detach().numpy(), "must return a torch.Tensor .* not a ndarray"),
        (lambda losses: losses.detach(), "must be .* these have no gradient"),
    ],
)
def test_losses_of_another_kind_are_refused(architecture, spoil, message):
    class Odd(CrossEntropy):
        name = "odd"

        def losses(self, logits, batch):
            return spoil(super().losses(logits, batch))

    recipe = replace(RECIPE, trainer=Odd())
    for engine in (train_stacked, train_sequentially):
        with pytest.raises(PluginError, match=f"Trainer 'odd': losses {message}"):
            engine(architecture.network, recipe, (lane(architecture, 9, 1),), 5)


def test_losses_of_mixtures_of_another_kind_are_refused():
    class Odd(Kcfu):
        name = "odd"

        def mixed_losses(self, logits, batch):
            return None

    architecture = MODELS["mlp"]
    recipe = replace(RECIPE, trainer=Odd())
    for engine in (train_stacked, train_sequentially):
        with pytest.raises(PluginError, match=r"'odd': mixed_losses must .* not None"):
            engine(architecture.network, recipe, (lane(architecture, 9, 1),), 5)
