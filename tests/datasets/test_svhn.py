import numpy as np
import pytest
import torchvision.datasets

from fal_bench.data.loading import load_dataset
from fal_bench.errors import DataError


def put(files, folder):
    for name, content in files.items():
        (folder / name).write_bytes(content)


def test_its_files_are_read_and_zero_is_zero(house_numbers, folders):
    files, parts = house_numbers
    put(files, folders.data)
    dataset = load_dataset("svhn")
    images, labels = parts["test"]
    assert dataset.test_labels.tolist() == labels.tolist()
    assert set(dataset.train_labels.tolist()) == set(range(10))
    how = dataset.normalisation
    expected = (images / 255 - how.mean) / how.deviation
    np.testing.assert_allclose(dataset.test_features, expected.transpose(0, 3, 1, 2), rtol=1e-5)


def test_they_are_downloaded(house_numbers, folders, server, monkeypatch, entries):
    files, _ = house_numbers
    server.files.update(files)
    kind = torchvision.datasets.SVHN
    at_home = {
        part: [server.url + name, name, md5] for part, (_, name, md5) in kind.split_list.items()
    }
    monkeypatch.setattr(kind, "split_list", at_home)
    assert load_dataset("svhn[train=20,test=10]").n_train == 20
    assert entries(folders.data) == sorted(files)


def test_a_damaged_file_is_named(house_numbers, folders, monkeypatch, nowhere):
    files, _ = house_numbers
    put({**files, "test_32x32.mat": files["test_32x32.mat"][:-1]}, folders.data)
    kind = torchvision.datasets.SVHN
    away = {part: [nowhere, *rest] for part, (_, *rest) in kind.split_list.items()}
    monkeypatch.setattr(kind, "split_list", away)
    with pytest.raises(DataError, match=r"test_32x32.mat' is damaged and cannot be downloaded"):
        load_dataset("svhn")
