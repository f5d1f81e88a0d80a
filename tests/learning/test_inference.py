import numpy as np
import pytest
import torch

from fal_bench.errors import InvalidSpecError
from fal_bench.learning.inference import BATCH_SIZE, predict
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


def test_too_small_images_are_refused():
    with pytest.raises(InvalidSpecError, match="use fewer channels"):
        _ = Architecture(ModelSpec(kind="cnn", channels=(2, 2, 2)), (1, 4, 4), 3).network
