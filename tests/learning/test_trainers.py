"""Losses of trainers in both engines: what is refused, when they stop, what is kept."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.errors import PluginError
from fal_bench.learning.engine import train
from fal_bench.learning.model import Architecture
from fal_bench.learning.request import TrainRequest
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked.engine import train_stacked
from fal_bench.learning.stopping import Stopping
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.needs import LocalTraining
from fal_bench.plugins.trainer import Trainer
from fal_bench.task import ModelSpec
from fal_bench.trainers.cross_entropy import CrossEntropy
from fal_bench.trainers.kcfu import Kcfu

MLP = Architecture(ModelSpec(kind="mlp", hidden=(16,)), (1, 8, 8), 5)
MODELS = {"mlp": MLP, "cnn": Architecture(ModelSpec(kind="cnn", channels=(3, 5)), (1, 6, 14), 5)}
RECIPE = LocalTraining(2, 4, 0.05, 0.9, 1e-3, None)


@pytest.fixture(params=MODELS)
def architecture(request):
    return MODELS[request.param]


@pytest.fixture(params=[train_stacked, train_sequentially])
def engine(request):
    return request.param


def test_mixtures_move_the_model_from_the_second_round_on(lane):
    # The draws of the mixtures shift the batches of later epochs, so one epoch is compared.
    recipe = replace(RECIPE, epochs=1, trainer=Kcfu())

    def trained(number, unlabelled):
        job = replace(lane(MLP, 12, 1), round=number)
        if not unlabelled:
            job = replace(job, unlabelled=None)
        return train_stacked(MLP.network, recipe, [job], 5)[0].weights["head.bias"]

    assert torch.equal(trained(0, True), trained(0, False))
    assert not torch.equal(trained(1, True), trained(1, False))


def test_the_trainer_none_is_cross_entropy(architecture, engine, lanes, same_bits):
    named = replace(RECIPE, trainer=CrossEntropy())
    pairs = zip(
        engine(architecture.network, RECIPE, lanes(architecture, [9, 5]), 5),
        engine(architecture.network, named, lanes(architecture, [9, 5]), 5),
        strict=True,
    )
    for ours, theirs in pairs:
        same_bits(ours.weights, theirs.weights)


def test_what_is_kept_after_some_epochs_is_what_they_give(architecture, engine, lanes, same_bits):
    whole = replace(RECIPE, epochs=3)
    kept = engine(architecture.network, whole, lanes(architecture, [13, 6, 0]), 5, True)
    assert [len(one.epochs) for one in kept] == [3, 3, 0]
    for epochs in (1, 2, 3):
        shorter = replace(RECIPE, epochs=epochs)
        twins = engine(architecture.network, shorter, lanes(architecture, [13, 6]), 5)
        for one, twin in zip(kept[:2], twins, strict=True):
            same_bits(one.epochs[epochs - 1], twin.weights)


def test_kept_epochs_come_with_the_answer_and_change_nothing_else(lanes, same_bits):
    plain = TrainRequest(MLP, RECIPE, tuple(lanes(MLP, [9])), key="one")
    kept = TrainRequest(MLP, RECIPE, tuple(lanes(MLP, [9])), "one", True)
    first, second = train([plain, kept])
    assert first.epochs == ()
    assert len(second.epochs[0]) == 2
    same_bits(first.weights[0], second.weights[0])


def test_patience_stops_both_engines_at_the_same_epoch(lanes):
    recipe = replace(RECIPE, epochs=60, lr=0.5, patience=2, trainer=Distillation())
    stacked, plain = (
        [len(one.epochs) for one in engine(MLP.network, recipe, lanes(MLP, [12, 7, 20]), 5, True)]
        for engine in (train_stacked, train_sequentially)
    )
    assert stacked == plain
    assert min(stacked) < 60
    assert len(set(stacked)) > 1


def test_patience_counts_epochs_without_a_new_lowest_loss():
    stopping = Stopping(LocalTraining(epochs=99, stop_at_accuracy=None, patience=2), 10)
    ends = []
    for loss in (3.0, 2.0, 2.5, 1.9, 1.9, 2.0):
        stopping.count(loss)
        ends.append(stopping.end_epoch())
    assert ends == [False, False, False, False, False, True]


@given(
    accuracy=st.floats(0, 1) | st.integers(0, 200).map(lambda n: n / 200),
    samples=st.integers(1, 500),
)
def test_the_correct_predictions_needed_are_the_fewest_that_reach_the_accuracy(accuracy, samples):
    recipe = LocalTraining(epochs=9, stop_at_accuracy=accuracy)
    enough = [one for one in range(samples + 1) if one / samples >= accuracy]
    assert Stopping(recipe, samples).needed == min(enough)
    for correct in {0, min(enough) - 1, min(enough), samples}:
        assert Stopping(recipe, samples).end_epoch(correct) == (correct in enough)


@pytest.mark.parametrize("accuracy", [None, 1.5])
def test_no_number_of_correct_predictions_reaches_an_accuracy_that_there_is_not(accuracy):
    recipe = LocalTraining(epochs=2, stop_at_accuracy=accuracy)
    stopping = Stopping(recipe, 10)
    assert [stopping.end_epoch(10), stopping.end_epoch(10)] == [False, True]


class Mean(Trainer):
    name = "odd"

    def losses(self, logits, batch):
        return logits.logsumexp(-1).mean()


def spoilt(spoil):
    class Odd(CrossEntropy):
        name = "odd"

        def losses(self, logits, batch):
            return spoil(super().losses(logits, batch))

    return Odd()


class NoMixture(Kcfu):
    name = "odd"

    def mixed_losses(self, logits, batch):
        return None


@pytest.mark.parametrize(
    ("trainer", "fault"),
    [
        (Mean(), "losses must .* one loss a sample"),
        (spoilt(lambda losses: None), "losses must .* not None"),
        (spoilt(lambda losses: losses.detach().numpy()), "losses must .* not a ndarray"),
        (spoilt(lambda losses: losses.detach()), "losses must .* no gradient"),
        (NoMixture(), "mixed_losses must .* not None"),
    ],
)
def test_what_are_no_losses_is_refused(architecture, engine, lanes, trainer, fault):
    recipe = replace(RECIPE, trainer=trainer)
    with pytest.raises(PluginError, match=f"'odd': {fault}"):
        engine(architecture.network, recipe, lanes(architecture, [9, 5]), 5)
