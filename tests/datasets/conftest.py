"""Small files in the formats of the published data sets."""

import gzip
import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
import scipy.io
import torchvision.datasets

from fal_bench.datasets import fashion_mnist


@pytest.fixture(autouse=True)
def own_folders(folders):
    """Every test of this room has a data folder of its own."""


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


@pytest.fixture
def garments(monkeypatch):
    """Fashion-MNIST in small: its four files by name, and its arrays."""
    parts = {"train": drawn(40, 28, 28), "t10k": drawn(20, 28, 28, seed=1)}
    plain = {}
    for part, (images, labels) in parts.items():
        plain[f"{part}-images-idx3-ubyte"] = idx(images)
        plain[f"{part}-labels-idx1-ubyte"] = idx(labels)
    files = {f"{name}.gz": gzip.compress(content) for name, content in plain.items()}
    digests = {name: hashlib.sha256(plain[name]).hexdigest() for name in fashion_mnist.FILES}
    monkeypatch.setattr(fashion_mnist, "FILES", digests)
    resources = [(name, md5(content)) for name, content in files.items()]
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", resources)
    return files, parts


@pytest.fixture(params=["cifar10", "cifar100"])
def photos(request, monkeypatch):
    """CIFAR in small: its name, its archive, and its arrays."""
    name = request.param
    kind = getattr(torchvision.datasets, name.upper())
    classes, key = (10, "labels") if name == "cifar10" else (100, "fine_labels")
    batches = ["data_batch_1", "data_batch_2"] if name == "cifar10" else ["train"]
    test_batch = "test_batch" if name == "cifar10" else "test"
    contents, parts = {}, []
    for batch in [*batches, test_batch]:
        images, labels = drawn(2 * classes, 32, 32, 3, classes=classes, seed=len(contents))
        rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        contents[batch] = pickle.dumps({"data": rows, key: labels.tolist()}, protocol=2)
        parts.append((images, labels))
    contents[kind.meta["filename"]] = pickle.dumps({kind.meta["key"]: ["x"] * classes})
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        for filename, content in contents.items():
            member = tarfile.TarInfo(f"{kind.base_folder}/{filename}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(kind, "train_list", [[batch, md5(contents[batch])] for batch in batches])
    monkeypatch.setattr(kind, "test_list", [[test_batch, md5(contents[test_batch])]])
    meta = {**kind.meta, "md5": md5(contents[kind.meta["filename"]])}
    monkeypatch.setattr(kind, "meta", meta)
    monkeypatch.setattr(kind, "tgz_md5", md5(archive.getvalue()))
    train = [np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True)]
    return name, kind, archive.getvalue(), (tuple(train), parts[-1])


@pytest.fixture
def house_numbers(monkeypatch):
    """SVHN in small: its two files by name, and its arrays."""
    files, parts = {}, {}
    for part in ("train", "test"):
        images, labels = drawn(30, 32, 32, 3, seed=len(files))
        stored = {"X": images.transpose(1, 2, 3, 0), "y": np.where(labels, labels, 10)[:, None]}
        file = io.BytesIO()
        scipy.io.savemat(file, stored)
        files[f"{part}_32x32.mat"] = file.getvalue()
        parts[part] = images, labels
    kind = torchvision.datasets.SVHN
    split_list = {
        part: [kind.split_list[part][0], f"{part}_32x32.mat", md5(files[f"{part}_32x32.mat"])]
        for part in parts
    }
    monkeypatch.setattr(kind, "split_list", split_list)
    return files, parts
