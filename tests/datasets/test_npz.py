"""Arrays in a file: the user's own, and MedMNIST's."""

import hashlib
import io
import os
import sys
import types

import numpy as np
import pytest

from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.datasets import medmnist
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.plugins.registry import current_registry

SELECTOR = "npz[path=mine.npz]"
MEDMNIST = "medmnist[name=pathmnist]"


def arrays(shape=(4, 5), kind=np.uint8, **changes):
    rng = np.random.default_rng(0)
    content = {}
    for part, count in (("train", 12), ("test", 6)):
        images = rng.integers(0, 256, (count, *shape))
        content[f"{part}_images"] = images.astype(kind)
        content[f"{part}_labels"] = np.arange(count) % 3
    return {**content, **changes}


@pytest.fixture
def save(folders):
    return lambda **content: np.savez(folders.data / "mine.npz", **content)


def rows(folders):
    [prepared] = [path for path in folders.cache.iterdir() if path.is_dir()]
    return np.load(prepared / "train_rows.npy")


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_bytes_are_pixels(save, folders, shape):
    content = arrays(shape)
    save(**content)
    dataset = load_dataset(SELECTOR)
    channels = shape[2] if len(shape) == 3 else 1
    assert dataset.input_shape == (channels, 4, 5)
    how = dataset.normalisation
    pixels = content["train_images"].reshape(12, 4, 5, channels)[rows(folders)] / 255
    expected = (pixels - how.mean) / how.deviation
    np.testing.assert_allclose(dataset.train_features, expected.transpose(0, 3, 1, 2), rtol=1e-5)
    assert dataset.train_labels.tolist() == content["train_labels"][rows(folders)].tolist()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "expected"), [((7,), (7, 1, 1)), ((4, 5), (1, 4, 5)), ((4, 5, 6), (6, 4, 5))]
)
def test_floating_point_numbers_are_features(save, folders, kind, shape, expected):
    content = arrays(shape, kind)
    save(**content)
    dataset = load_dataset(SELECTOR)
    assert dataset.input_shape == expected
    assert dataset.normalisation is None
    original = content["train_images"][rows(folders)].astype(np.float32)
    if len(shape) == 3:
        original = original.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(dataset.train_features, original.reshape(12, *expected))


def test_labels_may_be_a_column_and_more_arrays_are_ignored(save):
    content = arrays()
    column = content["train_labels"].astype(np.uint8)[:, None]
    save(**{**content, "train_labels": column, "val_images": np.zeros(3)})
    assert load_dataset(SELECTOR).n_classes == 3


def test_rows_sorted_by_class_are_shuffled(save):
    save(**arrays(train_labels=np.arange(12) // 4))
    labels = load_dataset(SELECTOR).train_labels.tolist()
    assert sorted(labels) == [0] * 4 + [1] * 4 + [2] * 4
    assert labels != sorted(labels)


def test_the_digest_is_that_of_the_file(save, folders):
    save(**arrays())
    digest = hashlib.sha256((folders.data / "mine.npz").read_bytes()).hexdigest()
    part = SELECTOR.replace("]", ",train=6]")
    assert dataset_digest(SELECTOR) == dataset_digest(part) == digest
    save(**arrays(train_labels=(np.arange(12) + 1) % 3))
    assert dataset_digest(SELECTOR) != digest


def test_new_content_of_the_same_size_and_date_is_seen(save, folders):
    """As archives with fixed dates and ``rsync -t`` leave it."""
    path = folders.data / "mine.npz"
    digests = set()
    for shift in range(3):
        save(**arrays(train_labels=(np.arange(12) + shift) % 3))
        os.utime(path, (1, 1))
        digests.add((path.stat().st_size, dataset_digest(SELECTOR)))
    assert len(digests) == 3
    assert len({size for size, _ in digests}) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": np.zeros((12, 4, 5), dtype=np.int32)}, "train_images of type int32"),
        ({"train_images": np.zeros((12, 4, 5), dtype=bool)}, "train_images of type bool"),
        ({"train_images": np.zeros((12, 20), dtype=np.uint8)}, r"shape \(12, 20\)"),
        ({"train_images": np.zeros((12, 3, 9, 9), dtype=np.uint8)}, "9 channels"),
        ({"train_images": np.zeros((12, 0, 5), dtype=np.uint8)}, r"shape \(12, 0, 5\)"),
        ({"train_images": np.zeros((11, 4, 5), dtype=np.uint8)}, "11 train_images"),
        ({"test_images": np.zeros((6, 4, 4), dtype=np.uint8)}, "shapes or types"),
        ({"test_images": np.zeros((6, 4, 5), dtype=np.float32)}, "shapes or types"),
        ({"train_labels": np.arange(12) % 3 * 1.0}, "train_labels .* float64"),
        ({"train_labels": np.zeros((12, 14), dtype=int)}, "14 labels .* train_labels"),
        ({"train_labels": np.arange(12) % 3 - 1}, "class -1 in train_labels"),
        ({"train_labels": np.arange(12) % 3 + 1}, "classes 1, 2, 3 in train_labels"),
        ({"train_labels": np.arange(12) % 3 * 2}, "classes 0, 2, 4 in train_labels"),
        ({"train_labels": np.zeros(12, dtype=int)}, "classes 0 in train_labels"),
        ({"test_labels": np.full(6, 3)}, "class 3 in test_labels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(save, changes, message):
    save(**arrays(**changes))
    with pytest.raises(InvalidSpecError, match=rf"mine\.npz' has .*{message}") as caught:
        load_dataset(SELECTOR)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", arrays())
def test_a_missing_array_is_named(save, name):
    content = arrays()
    del content[name]
    save(**content)
    with pytest.raises(InvalidSpecError, match=f"'{name}'"):
        load_dataset(SELECTOR)


def objects(path):
    np.savez(path, **arrays(train_labels=np.array([None] * 12)))


def one_array(path):
    with path.open("wb") as file:
        np.save(file, np.arange(3.0))


def truncated(path):
    np.savez(path, **arrays())
    path.write_bytes(path.read_bytes()[:-200])


def flipped(path):
    np.savez_compressed(path, **arrays())
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)


def text(path):
    path.write_text("no arrays here")


@pytest.mark.parametrize("write", [objects, one_array, truncated, flipped, text])
def test_a_damaged_file_is_named(folders, write, entries):
    write(folders.data / "mine.npz")
    with pytest.raises(DataError, match=r"'.*mine\.npz'"):
        load_dataset(SELECTOR)
    assert entries(folders.cache) == []


def test_a_missing_file_is_named(folders):
    with pytest.raises(DataError, match=r"data/mine\.npz'.*relative"):
        load_dataset(SELECTOR)
    with pytest.raises(DataError, match="'/nowhere/mine"):
        load_dataset("npz[path=/nowhere/mine.npz]")


def medmnist_file(size=28, classes=9):
    """A file as MedMNIST stores them: labels in a column, three parts."""
    rng = np.random.default_rng(0)
    content = {}
    for part, count in (("train", 5 * classes), ("val", classes), ("test", 2 * classes)):
        images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        content[f"{part}_images"] = images
        content[f"{part}_labels"] = (np.arange(count) % classes).astype(np.uint8)[:, None]
    file = io.BytesIO()
    np.savez_compressed(file, **content)
    return file.getvalue()


@pytest.fixture
def package(monkeypatch):
    """Install or uninstall a package ``medmnist`` that knows where one set can be downloaded."""

    def install(url=None, content=b""):
        there = url is not None
        monkeypatch.setattr(medmnist, "find_spec", lambda name: object() if there else None)
        info = types.ModuleType("medmnist.info")
        digest = hashlib.md5(content).hexdigest()
        info.INFO = {"pathmnist": {"url_64": url, "MD5_64": digest, "url": url, "MD5": digest}}
        monkeypatch.setitem(sys.modules, "medmnist", types.ModuleType("medmnist"))
        monkeypatch.setitem(sys.modules, "medmnist.info", info)

    install()
    return install


@pytest.mark.parametrize("place", ["data", "data/medmnist", "home/.medmnist"])
def test_medmnists_file_in_place_needs_no_package(tmp_path, package, place):
    assert "pip install" in current_registry().datasets.describe("medmnist")
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pathmnist.npz").write_bytes(medmnist_file())
    assert "here: pathmnist.npz" in current_registry().datasets.describe("medmnist")
    dataset = load_dataset(MEDMNIST)
    assert dataset.name == "pathmnist"
    assert dataset.input_shape == (3, 28, 28)
    assert (dataset.n_train, dataset.n_test, dataset.n_classes) == (45, 18, 9)
    assert dataset_digest(MEDMNIST) == hashlib.sha256(medmnist_file()).hexdigest()


def test_its_package_knows_where_a_file_can_be_downloaded(folders, package, server, entries):
    content = medmnist_file(64)
    server.files["p.npz"] = content
    package(server.url + "p.npz", content)
    assert "downloads" in current_registry().datasets.describe("medmnist")
    dataset = load_dataset("medmnist[name=pathmnist,size=64,train=18,test=9]")
    assert dataset.input_shape == (3, 64, 64)
    assert dataset.n_train == 18
    assert entries(folders.data / "medmnist") == ["pathmnist_64.npz"]


def test_without_file_and_package_both_ways_are_named(folders, package):
    with pytest.raises(DataError, match=r"pathmnist_64\.npz") as caught:
        load_dataset("medmnist[name=pathmnist,size=64]")
    assert f"'{folders.data}/medmnist'" in str(caught.value)
    assert "falbench[medmnist]" in str(caught.value)


def test_a_wrong_download_is_refused(package, server, folders, entries):
    server.files["p.npz"] = b"<html>"
    package(server.url + "p.npz", medmnist_file())
    with pytest.raises(DataError, match=r"p\.npz"):
        load_dataset(MEDMNIST)
    assert entries(folders.data / "medmnist") == []


@pytest.mark.parametrize("bad", ["name=chestmnist", "name=PathMNIST", "name=pathmnist,size=32"])
def test_names_and_sizes_are_checked(bad, package):
    with pytest.raises(InvalidSpecError, match=bad.rpartition("=")[2]):
        load_dataset(f"medmnist[{bad}]")


def test_the_package_knows_every_set_and_size():
    info = pytest.importorskip("medmnist.info", reason="the extra medmnist is not installed").INFO
    for name in medmnist.SetName.__args__:
        assert info[name]["python_class"].lower() == name
        assert "multi-label" not in info[name]["task"]
        for suffix in ("", "_64", "_128", "_224"):
            assert info[name][f"url{suffix}"].startswith("https://")
            assert len(info[name][f"MD5{suffix}"]) == 32
