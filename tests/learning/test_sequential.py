"""The sequential engine against ``torch.optim.SGD`` and ``nn.Module`` written out plainly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from fal_bench.learning import sequential
from fal_bench.learning.engine import train
from fal_bench.learning.inference import predict
from fal_bench.learning.kernels.batch import Batch
from fal_bench.learning.model import Architecture, Model
from fal_bench.learning.request import TrainRequest, batches, padded_rows
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

SHAPE = (1, 8, 8)


@pytest.fixture(
    params=[
        ModelSpec(kind="mlp", hidden=()),
        ModelSpec(kind="mlp", hidden=(16,)),
        ModelSpec(kind="mlp", hidden=(12, 7)),
        ModelSpec(kind="cnn", channels=(4, 6)),
    ]
)
def architecture(request):
    return Architecture(request.param, SHAPE, 5)


def reference(architecture, start, features, labels, rng, recipe):
    """Train as a tutorial would."""
    network = architecture.network
    network.load_state_dict(start)
    options = {name: getattr(recipe, name) for name in ("lr", "momentum", "weight_decay")}
    optimiser = torch.optim.SGD(network.parameters(), **options)
    for _ in range(recipe.epochs):
        for chosen in batches(len(labels), recipe.batch_size, rng):
            optimiser.zero_grad()
            cross_entropy(network(features[chosen]), labels[chosen]).backward()
            optimiser.step()
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize(
    "recipe",
    [LocalTraining(3, 4, 0.1, 0, 0, None), LocalTraining(3, 4, 0.05, 0.9, 1e-2, None)],
)
def test_it_is_sgd(architecture, recipe, lane):
    job = lane(architecture, 13)
    [answer] = train([TrainRequest(architecture, recipe, (job,))])
    expected = reference(
        architecture, job.start, job.features, job.labels, np.random.default_rng(0), recipe
    )
    for name, tensor in expected.items():
        torch.testing.assert_close(answer.weights[0][name], tensor, rtol=1e-5, atol=1e-6)


def test_the_start_is_left_as_it_was_and_without_samples_nothing_changes(
    architecture, lane, same_bits
):
    jobs = lane(architecture, 9), lane(architecture, 0)
    before = {name: tensor.clone() for name, tensor in jobs[0].start.items()}
    [answer] = train([TrainRequest(architecture, LocalTraining(epochs=1), jobs)])
    same_bits(jobs[0].start, before)
    assert not any(torch.equal(answer.weights[0][name], before[name]) for name in before)
    same_bits(answer.weights[1], jobs[1].start)


def test_training_stops_at_the_accuracy(architecture, lane):
    def epochs_run(stop):
        recipe = LocalTraining(epochs=40, lr=0.05, batch_size=3, stop_at_accuracy=stop)
        job = lane(architecture, 6)
        train([TrainRequest(architecture, recipe, (job,))])
        reached = np.random.default_rng(0)
        for epoch in range(41):
            if reached.bit_generator.state == job.rng.bit_generator.state:
                return epoch
            reached.permutation(6)
        raise AssertionError("the stream moved in another way")

    assert epochs_run(None) == 40
    assert epochs_run(0.99) < 40
    assert epochs_run(0.0) == 1


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (ModelSpec(kind="cnn4", width=8), (1, 16, 16)),  # normalises batches, one after the other
        (ModelSpec(kind="mlp", hidden=(8,), dropout=0.5), SHAPE),
        (ModelSpec(kind="cnn", channels=(4,)), SHAPE),
    ],
)
def test_training_ends_with_the_first_epoch_whose_model_knows_its_labels(model, shape, lanes):
    architecture = Architecture(model, shape, 5)
    recipe = LocalTraining(epochs=80, lr=0.02, batch_size=4, stop_at_accuracy=0.9)
    jobs = lanes(architecture, [3, 5, 11, 20])
    [answer] = train([TrainRequest(architecture, recipe, tuple(jobs), keep_epochs=True)])
    for job, epochs in zip(jobs, answer.epochs, strict=True):
        models = [Model(architecture, weights) for weights in epochs]
        predicted = [predict(model, job.features).logits.argmax(1) for model in models]
        shares = [float((one == job.labels.numpy()).mean()) for one in predicted]
        assert [share >= 0.9 for share in shares] == [False] * (len(shares) - 1) + [True]
    assert max(map(len, answer.epochs)) > 1


def batches_looked_at(monkeypatch, model, job, stop):
    """Train for an epoch; count the batches that are predicted at its end."""
    looks = []
    by_batch, correct = sequential.correct_by_batch, Batch.correct

    def counted(*args):
        for one in by_batch(*args):
            looks.append(one)
            yield one

    def noted(*args):
        looks.append(args)
        return correct(*args)

    monkeypatch.setattr(sequential, "correct_by_batch", counted)
    monkeypatch.setattr(Batch, "correct", noted)
    recipe = LocalTraining(epochs=1, lr=1e-6, batch_size=10, stop_at_accuracy=stop)
    train([TrainRequest(model, recipe, (job,))])
    return len(looks)


@pytest.mark.parametrize("kind", ["mlp", "cnn4"])
def test_nothing_more_is_predicted_once_the_accuracy_is_out_of_reach(monkeypatch, kind, lane):
    model = Architecture(ModelSpec(kind=kind), (1, 16, 16), 5)
    everything = batches_looked_at(monkeypatch, model, lane(model, 160), 0.0)
    assert everything == (16 if kind == "mlp" else 3)  # of 10, and of 64 at most
    assert batches_looked_at(monkeypatch, model, lane(model, 160), 1.0) == 1


def test_the_learning_rate_drops_at_its_step(lane):
    architecture = Architecture(ModelSpec(kind="mlp", hidden=(4,)), SHAPE, 5)

    def moved(drop, steps):
        recipe = LocalTraining(steps, 10, 0.1, 0, 0, None, lr_drop_step=drop)
        [answer] = train([TrainRequest(architecture, recipe, (lane(architecture, 4),))])
        return answer.weights[0]["head.bias"]

    start = lane(architecture, 4).start["head.bias"]
    first = moved(None, 1) - start
    torch.testing.assert_close(moved(0, 1) - start, first / 10)
    second = moved(None, 2) - moved(None, 1)
    torch.testing.assert_close(moved(1, 2) - moved(None, 1), second / 10)


def test_fresh_weights_stay_in_their_bounds_and_off_the_global_stream(architecture, lane):
    before = torch.random.get_rng_state()
    weights = architecture.fresh(torch.Generator().manual_seed(1)).weights
    assert torch.equal(before, torch.random.get_rng_state())
    for name, tensor in weights.items():
        fan_in = weights[name.rpartition(".")[0] + ".weight"][0].numel()
        assert float(tensor.abs().max()) <= fan_in**-0.5
        assert float(tensor.std()) > 0.2 * fan_in**-0.5


@given(count=st.integers(1, 300), batch_size=st.integers(1, 70))
def test_batches_are_few_and_even_and_hold_every_sample_once(count, batch_size):
    order = batches(count, batch_size, np.random.default_rng(0))
    sizes = [len(batch) for batch in order]
    assert len(order) == -(-count // batch_size)
    assert max(sizes) <= min(batch_size, padded_rows(count, batch_size))
    assert max(sizes) - min(sizes) <= 1
    assert np.concatenate(order).tolist() == np.random.default_rng(0).permutation(count).tolist()
