"""The data sets that are downloaded, in small: fashion-mnist, svhn, cifar10 and cifar100."""

import gzip
import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torchvision.datasets

from fal_bench.data import loading
from fal_bench.data.folders import use_data_folder
from fal_bench.data.loading import load_dataset
from fal_bench.datasets import fashion_mnist
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.plugins.registry import current_registry

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@dataclass
class Published:
    """A published data set.

    ``serve(address)`` says where its ``files`` can be downloaded, which go to ``place`` in the data
    folder. ``parts`` are training and test images with their classes.
    """

    name: str
    files: dict[str, bytes]
    parts: list
    serve: Callable[[str], None]
    place: str = ""
    n_classes: int = 10
    unpacked: dict[str, bytes] = field(default_factory=dict)

    def is_loaded(self):
        dataset = load_dataset(self.name)
        how = dataset.normalisation
        for part, (images, labels) in zip(("train", "test"), self.parts, strict=True):
            expected = ((images / 255 - how.mean) / how.deviation).transpose(0, 3, 1, 2)
            features = getattr(dataset, f"{part}_features")
            np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
            assert getattr(dataset, f"{part}_labels").tolist() == labels.tolist()
        assert dataset.n_classes == self.n_classes
        return True


def make_fashion_mnist(monkeypatch):
    parts = {"train": drawn(40, 28, 28, 1), "t10k": drawn(20, 28, 28, 1, seed=1)}
    plain = {}
    for part, (images, labels) in parts.items():
        plain[f"{part}-images-idx3-ubyte"] = idx(images[..., 0])
        plain[f"{part}-labels-idx1-ubyte"] = idx(labels)
    files = {f"{name}.gz": gzip.compress(content) for name, content in plain.items()}
    digests = {name: hashlib.sha256(plain[name]).hexdigest() for name in fashion_mnist.FILES}
    kind = torchvision.datasets.FashionMNIST
    monkeypatch.setattr(fashion_mnist, "FILES", digests)
    monkeypatch.setattr(kind, "resources", [(name, md5(own)) for name, own in files.items()])

    def serve(address):
        monkeypatch.setattr(kind, "mirrors", [address])

    return Published("fashion-mnist", files, [*parts.values()], serve, "FashionMNIST/raw")


def make_svhn(monkeypatch):
    files, parts = {}, []
    for part in ("train", "test"):
        images, labels = drawn(30, 32, 32, 3, seed=len(files))
        stored = {"X": images.transpose(1, 2, 3, 0), "y": np.where(labels, labels, 10)[:, None]}
        file = io.BytesIO()
        scipy.io.savemat(file, stored)
        files[f"{part}_32x32.mat"] = file.getvalue()
        parts.append((images, labels))

    def serve(address):
        places = {
            name.partition("_")[0]: [address + name, name, md5(own)] for name, own in files.items()
        }
        monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", places)

    return Published("svhn", files, parts, serve)


def make_cifar(monkeypatch, name, classes, key, train_batches, test_batch):
    kind = getattr(torchvision.datasets, name.upper())
    contents, parts = {}, []
    for batch in [*train_batches, test_batch]:
        images, labels = drawn(2 * classes, 32, 32, 3, classes=classes, seed=len(contents))
        rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        contents[batch] = pickle.dumps({"data": rows, key: labels.tolist()}, protocol=2)
        parts.append((images, labels))
    names = pickle.dumps({kind.meta["key"]: ["x"] * classes})
    contents[kind.meta["filename"]] = names
    unpacked = {f"{kind.base_folder}/{batch}": content for batch, content in contents.items()}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        for path, content in unpacked.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    sums = {batch: [batch, md5(content)] for batch, content in contents.items()}
    monkeypatch.setattr(kind, "train_list", [sums[batch] for batch in train_batches])
    monkeypatch.setattr(kind, "test_list", [sums[test_batch]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(names)})
    monkeypatch.setattr(kind, "tgz_md5", md5(archive.getvalue()))

    def serve(address):
        monkeypatch.setattr(kind, "url", address + kind.filename)

    train = tuple(np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True))
    files = {kind.filename: archive.getvalue()}
    return Published(name, files, [train, parts[-1]], serve, "", classes, unpacked)


MAKERS = {
    "fashion-mnist": (make_fashion_mnist,),
    "svhn": (make_svhn,),
    "cifar10": (
        make_cifar,
        "cifar10",
        10,
        "labels",
        ["data_batch_1", "data_batch_2"],
        "test_batch",
    ),
    "cifar100": (make_cifar, "cifar100", 100, "fine_labels", ["train"], "test"),
}


@pytest.fixture(params=MAKERS)
def published(request, monkeypatch, nowhere):
    """A published data set whose servers cannot be reached."""
    make, *arguments = MAKERS[request.param]
    made = make(monkeypatch, *arguments)
    made.serve(nowhere)
    return made


only_fashion_mnist = pytest.mark.parametrize("published", ["fashion-mnist"], indirect=True)
only_cifar = pytest.mark.parametrize("published", ["cifar10", "cifar100"], indirect=True)


def md5(content):
    return hashlib.md5(content).hexdigest()


def drawn(count, *shape, classes=10, seed=0):
    """Random images and their classes, every class about equally often."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    return images, rng.permutation(np.arange(count) % classes)


def idx(array):
    """An array of bytes in the IDX format."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def put(files, folder):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_missing_files_are_downloaded_and_read(published, server, folders, entries):
    server.files.update(published.files)
    published.serve(server.url)
    assert "not here" in current_registry().datasets.describe(published.name)
    assert published.is_loaded()
    assert entries(folders.data / published.place) == sorted(published.files)
    assert "not here" not in current_registry().datasets.describe(published.name)


def test_files_in_place_need_no_network_and_later_not_even_the_files(published, folders):
    put(published.files, folders.data)
    assert f"Data: in {folders.data}" in current_registry().datasets.describe(published.name)
    assert published.is_loaded()
    for path in folders.data.iterdir():
        path.unlink()
    loading._load.cache_clear()
    assert published.is_loaded()


def test_a_truncated_download_leaves_nothing_behind(published, server, folders, entries):
    server.files.update(published.files)
    server.cut = 50
    published.serve(server.url)
    with pytest.raises(DataError, match="truncated"):
        load_dataset(published.name)
    assert entries(folders.data / published.place) == []
    assert entries(folders.cache) == []


def test_a_damaged_file_is_named_with_its_folder(published, folders):
    files = dict(published.files)
    damaged = list(files)[-1]
    put({**files, damaged: files[damaged][:-20]}, folders.data)
    with pytest.raises(DataError, match=f"{folders.data}/{damaged}"):
        load_dataset(published.name)


def test_a_subset_is_standardised_by_itself(published, folders):
    put(published.files, folders.data)
    n = published.n_classes
    dataset = load_dataset(f"{published.name}[train={n},test={n}]")
    assert sorted(dataset.train_labels.tolist()) == list(range(n))
    assert dataset.n_classes == dataset.n_test == n
    assert dataset.train_features.mean().item() == pytest.approx(0, abs=1e-5)
    with pytest.raises(InvalidSpecError, match="not 1000"):
        load_dataset(f"{published.name}[train=1000]")


@only_cifar
def test_unpacked_batches_need_no_archive_but_must_be_whole(published, folders):
    put(published.unpacked, folders.data)
    assert f"Data: in {folders.data}" in current_registry().datasets.describe(published.name)
    batch, content = next(iter(published.unpacked.items()))
    put({batch: content[:-1]}, folders.data)
    [archive] = published.files
    with pytest.raises(DataError, match=archive):
        load_dataset(published.name)
    put({batch: content}, folders.data)
    assert published.is_loaded()


@only_cifar
def test_the_archive_stands_in_for_a_damaged_batch(published, folders):
    batch, content = next(iter(published.unpacked.items()))
    put({**published.unpacked, batch: content[:-1], **published.files}, folders.data)
    assert published.is_loaded()


@only_fashion_mnist
@pytest.mark.parametrize("place", ["data/FashionMNIST/raw", "no-such-package"])
def test_fashion_mnist_is_found_in_torchvisions_and_debians_place(published, tmp_path, place):
    put(published.files, tmp_path / place)
    assert f"Data: in {tmp_path / place}." in current_registry().datasets.describe("fashion-mnist")
    assert published.is_loaded()


@only_fashion_mnist
def test_files_packed_in_another_way_are_the_same(published, folders):
    files = published.files.items()
    put({name: gzip.compress(gzip.decompress(old), 1) for name, old in files}, folders.data)
    assert published.is_loaded()


@only_fashion_mnist
def test_three_of_four_files_are_not_enough(published, folders):
    put(dict(list(published.files.items())[:3]), folders.data)
    with pytest.raises(DataError, match=r"train-images.*gz") as caught:
        load_dataset("fashion-mnist")
    assert f"{folders.data}/FashionMNIST/raw" in str(caught.value)


@only_fashion_mnist
@pytest.mark.parametrize("typo", ["typo", "no/such"])
def test_no_other_place_stands_in_for_a_data_folder_that_does_not_exist(published, tmp_path, typo):
    put(published.files, fashion_mnist.DEBIAN)
    with (
        use_data_folder(tmp_path / typo),
        pytest.raises(DataError, match=f"{tmp_path / typo}"),
    ):
        load_dataset("fashion-mnist")
    assert published.is_loaded()


@only_fashion_mnist
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-20], "cannot read"),
        (lambda content: b"", "not the published file"),
        (lambda content: b"<html>not found</html>", "cannot read"),
        (lambda content: content[:30] + b"garbage" + content[37:], "cannot read"),
        (lambda content: gzip.compress(b"MNIST"), "MNIST's"),
    ],
)
def test_every_kind_of_damage_is_noticed(published, folders, name, damage, reason):
    put({**published.files, name: damage(published.files[name])}, folders.data)
    with pytest.raises(DataError, match=reason) as caught:
        load_dataset("fashion-mnist")
    assert f"{folders.data}/{name}" in str(caught.value)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_debians_package_is_the_published_data_set(monkeypatch):
    monkeypatch.setattr(fashion_mnist, "DEBIAN", DEBIAN)
    dataset = load_dataset("fashion-mnist")
    assert (dataset.n_train, dataset.n_test) == (60_000, 10_000)
    assert np.bincount(dataset.train_labels).tolist() == [6000] * 10
    assert dataset.train_labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    # The usual figures of this data set.
    assert dataset.normalisation.mean[0] == pytest.approx(0.2860, abs=5e-5)
    assert dataset.normalisation.deviation[0] == pytest.approx(0.3530, abs=5e-5)
