import numpy as np
import pytest
import torch

from fal_bench.data.base import Dataset, Normalisation, on_device
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
    assert on_device(dataset, "cpu") is dataset


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_classes": 1}, "2 classes"),
        ({"train_features": torch.zeros(4, 30)}, r"train_features of shape \(4, 30\)"),
        ({"test_features": torch.zeros(0, 3, 2, 5)}, "test_features of shape"),
        ({"train_features": torch.zeros(4, 3, 2, 5).double()}, r"torch\.float32"),
        ({"train_labels": torch.zeros(4).int()}, r"torch\.int64"),
        ({"train_labels": torch.tensor([0, 1])}, "train_labels of shape"),
        ({"test_labels": torch.tensor([[0], [1]])}, "test_labels of shape"),
        ({"train_labels": torch.tensor([0, 1, 3, 0])}, "train_labels from 0 to 3"),
        ({"test_labels": torch.tensor([-1, 1])}, "test_labels from -1 to 1"),
        ({"test_features": torch.zeros(2, 3, 2, 4)}, r"test samples of shape \(3, 2, 4\)"),
        ({"test_features": torch.full((2, 3, 2, 5), torch.nan)}, "NaN .*test_features"),
        ({"normalisation": Normalisation((0.5,), (1.0,))}, "normalisation"),
        ({"train_votes": np.zeros((3, 2), int)}, r"train_votes of shape \(3, 2\)"),
        ({"train_votes": np.zeros((4, 2))}, "train_votes .* float64"),
        ({"train_votes": np.full((4, 2), 3)}, "train_votes from 3 to 3"),
        ({"train_votes": np.array([[0, -2]] * 4)}, "train_votes from -2"),
        ({"train_votes": np.array([[0, 1], [-1, -1], [1, 1], [2, -1]])}, "sample 1 in train_votes"),
    ],
)
def test_unusable_tensors_are_refused(changes, message):
    with pytest.raises(InvalidSpecError, match=f"'toy'.*{message}"):
        Dataset(**fields(**changes))
