import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, precision_score

from fal_bench.errors import InvalidSpecError
from fal_bench.learning.inference import BATCH_SIZE, predict
from fal_bench.learning.metrics import Metrics, weighted_precision
from fal_bench.learning.model import Architecture
from fal_bench.task import ModelSpec
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(kind="mlp", hidden=(9,)),
        ModelSpec(kind="mlp", hidden=()),
        ModelSpec(kind="cnn", channels=(3,)),
    ],
)
def test_predictions_are_the_networks(spec):
    architecture = Architecture(spec, (1, 4, 4), 3)
    model = architecture.fresh(torch.Generator().manual_seed(0))
    features = torch.randn(BATCH_SIZE + 5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    outputs = predict(model, features)
    network = architecture.network
    network.load_state_dict(model.weights)
    with torch.no_grad():
        np.testing.assert_allclose(outputs.logits, network(features), atol=1e-6)
        np.testing.assert_allclose(outputs.embeddings, network.body(features), atol=1e-6)
    probs = CROSS_ENTROPY.probs(outputs.logits)
    np.testing.assert_allclose(probs, torch.tensor(outputs.logits).softmax(1), atol=1e-6)
    assert not outputs.logits.flags.writeable


def test_no_samples_give_empty_predictions():
    model = Architecture(ModelSpec(kind="mlp", hidden=(9,)), (1, 4, 4), 3).fresh(torch.Generator())
    outputs = predict(model, torch.empty(0, 1, 4, 4))
    assert CROSS_ENTROPY.probs(outputs.logits).shape == (0, 3)
    assert outputs.embeddings.shape == (0, 9)


def test_metrics_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 6)).astype(np.float32)
    logits[:, 4] = -9  # a class that is never predicted
    labels = rng.integers(6, size=200)
    metrics = Metrics.of(logits, labels)
    predicted = logits.argmax(1)
    probs = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(1, keepdims=True)
    assert metrics.accuracy == pytest.approx((predicted == labels).mean())
    assert metrics.loss == pytest.approx(log_loss(labels, probs, labels=range(6)))
    assert metrics.precision == pytest.approx(
        precision_score(labels, predicted, average="weighted", zero_division=0)
    )


def test_weighted_precision_by_hand():
    predicted, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])
    # Class 0: 1 of 2 claims, support 1; class 1: 1 of 2, support 2; class 2: never claimed.
    assert weighted_precision(predicted, labels, 3) == pytest.approx((0.5 + 2 * 0.5) / 4)


def test_too_small_images_are_refused():
    with pytest.raises(InvalidSpecError, match="use fewer channels"):
        _ = Architecture(ModelSpec(kind="cnn", channels=(2, 2, 2)), (1, 4, 4), 3).network
