import gzip
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets

from fal_bench.data.folders import use_data_folder
from fal_bench.data.loading import describe_dataset, load_dataset
from fal_bench.datasets import fashion_mnist
from fal_bench.errors import DataError, InvalidSpecError

REAL = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture
def offline(monkeypatch, nowhere):
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [nowhere])


def put(files, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture(params=["data", "data/FashionMNIST/raw", "no-such-package"])
def place(request, tmp_path):
    """The data folder, torchvision's place in it, and Debian's package."""
    return tmp_path / request.param


def test_its_four_files_are_read_wherever_they_are(garments, place, offline):
    files, parts = garments
    assert "not here" in describe_dataset("fashion-mnist")
    put(files, place)
    assert f"Data: in {place}." in describe_dataset("fashion-mnist")
    dataset = load_dataset("fashion-mnist")
    assert dataset.input_shape == (1, 28, 28)
    assert (dataset.n_train, dataset.n_test, dataset.n_classes) == (40, 20, 10)
    images, labels = parts["train"]
    pixels = dataset.train_features[:, 0] * dataset.normalisation.deviation[0]
    pixels = (pixels + dataset.normalisation.mean[0]) * 255
    np.testing.assert_allclose(pixels, images, atol=1e-3)
    assert dataset.train_labels.tolist() == labels.tolist()
    assert dataset.test_labels.tolist() == parts["t10k"][1].tolist()


def test_files_packed_in_another_way_are_the_same(garments, folders, offline):
    files, parts = garments
    again = {name: gzip.compress(gzip.decompress(old), 1) for name, old in files.items()}
    put(again, folders.data)
    assert load_dataset("fashion-mnist").train_labels.tolist() == parts["train"][1].tolist()


def test_once_prepared_the_files_are_not_needed(garments, folders, offline):
    put(garments[0], folders.data)
    first = load_dataset("fashion-mnist")
    for path in folders.data.iterdir():
        path.unlink()
    load_dataset.__globals__["_load"].cache_clear()
    assert load_dataset("fashion-mnist").train_features.equal(first.train_features)


def test_a_subset_is_standardised_by_itself(garments, folders, offline):
    put(garments[0], folders.data)
    dataset = load_dataset("fashion-mnist[train=20,test=10]")
    assert (dataset.n_train, dataset.n_test) == (20, 10)
    assert np.bincount(dataset.train_labels).tolist() == [2] * 10
    assert dataset.train_features.mean().item() == pytest.approx(0, abs=1e-5)
    with pytest.raises(InvalidSpecError, match="to 40 train samples, not 41"):
        load_dataset("fashion-mnist[train=41]")


def test_missing_files_are_downloaded(garments, folders, monkeypatch, server, entries):
    files, parts = garments
    server.files.update(files)
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [server.url])
    assert load_dataset("fashion-mnist").test_labels.tolist() == parts["t10k"][1].tolist()
    assert entries(folders.data / "FashionMNIST" / "raw") == sorted(files)


def test_offline_one_sentence_says_what_to_put_where(garments, folders, offline, nowhere):
    put(dict(list(garments[0].items())[:3]), folders.data)
    with pytest.raises(DataError) as caught:
        load_dataset("fashion-mnist")
    assert "train-images-idx3-ubyte.gz" in str(caught.value)
    assert f"into the folder '{folders.data}/FashionMNIST/raw'" in str(caught.value)


@pytest.mark.parametrize(("typo", "said"), [("typo", "cannot be down"), ("no/such", "not exist")])
def test_data_are_not_taken_from_elsewhere_if_the_folder_that_is_named_is_not_there(
    garments, tmp_path, offline, typo, said
):
    put(garments[0], fashion_mnist.DEBIAN)
    with use_data_folder(tmp_path / typo), pytest.raises(DataError, match=said) as caught:
        load_dataset("fashion-mnist")
    assert str(tmp_path / typo) in str(caught.value)
    assert load_dataset("fashion-mnist").n_train == 40


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-20], "cannot read"),
        (lambda content: b"", "is not the published file"),
        (lambda content: b"<html>not found</html>", "cannot read"),
        (lambda content: content[:30] + b"garbage" + content[37:], "cannot read"),
        (lambda content: gzip.compress(b"MNIST"), "is not the published file .MNIST's has the"),
    ],
)
def test_a_damaged_file_is_named(garments, folders, offline, name, damage, message):
    files = {**garments[0], name: damage(garments[0][name])}
    put(files, folders.data)
    with pytest.raises(DataError, match=rf"{message}") as caught:
        load_dataset("fashion-mnist")
    assert f"{folders.data}/{name}" in str(caught.value)


@pytest.mark.skipif(not REAL.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_debians_package_is_the_published_data_set(monkeypatch):
    monkeypatch.setattr(fashion_mnist, "DEBIAN", REAL)
    dataset = load_dataset("fashion-mnist")
    assert (dataset.n_train, dataset.n_test) == (60_000, 10_000)
    assert np.bincount(dataset.train_labels).tolist() == [6000] * 10
    assert dataset.train_labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    # The figures that everybody uses for it.
    assert dataset.normalisation.mean[0] == pytest.approx(0.2860, abs=5e-5)
    assert dataset.normalisation.deviation[0] == pytest.approx(0.3530, abs=5e-5)
