import pytest
import torch

from fal_bench.data.base import Dataset
from fal_bench.errors import InvalidSpecError


def fields(**changes):
    return {
        "name": "toy",
        "train_features": torch.zeros(4, 3, 2, 5),
        "train_labels": torch.tensor([0, 1, 2, 0]),
        "test_features": torch.ones(2, 3, 2, 5),
        "test_labels": torch.tensor([2, 1]),
        "n_classes": 3,
    } | changes


def test_sizes_of_a_valid_data_set():
    dataset = Dataset(**fields())
    assert dataset.input_shape == (3, 2, 5)
    assert (dataset.n_train, dataset.n_test) == (4, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_classes": 1}, "needs at least 2 classes"),
        ({"train_features": torch.zeros(4, 30)}, r"train_features of shape \(4, 30\)"),
        ({"test_features": torch.zeros(0, 3, 2, 5)}, "test_features of shape"),
        ({"train_features": torch.zeros(4, 3, 2, 5).double()}, "use torch.float32"),
        ({"train_labels": torch.zeros(4).int()}, "use torch.int64"),
        ({"train_labels": torch.tensor([0, 1])}, "give one label a sample"),
        ({"test_labels": torch.tensor([[0], [1]])}, "give one label a sample"),
        ({"train_labels": torch.tensor([0, 1, 3, 0])}, "from 0 to 3; use 0 to 2"),
        ({"test_labels": torch.tensor([-1, 1])}, "from -1 to 1; use 0 to 2"),
        ({"test_features": torch.zeros(2, 3, 2, 4)}, "give them one shape"),
        ({"test_features": torch.full((2, 3, 2, 5), torch.nan)}, "NaN or infinite"),
    ],
)
def test_unusable_tensors_are_refused(changes, message):
    with pytest.raises(InvalidSpecError, match=message) as caught:
        Dataset(**fields(**changes))
    assert "'toy'" in str(caught.value)
