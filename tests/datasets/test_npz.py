"""Arrays in a file: the user's own, and MedMNIST's."""

import hashlib
import io
import os
import shutil
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.datasets import _npz, medmnist
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


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_bytes_are_pixels(save, folders, shape):
    content = arrays(shape)
    save(**content)
    dataset = load_dataset(SELECTOR)
    channels = shape[2] if len(shape) == 3 else 1
    assert dataset.input_shape == (channels, 5, 4)
    how = dataset.normalisation
    pixels = content["train_images"].reshape(12, 5, 4, channels)[rows(folders)] / 255
    expected = (pixels - how.mean) / how.deviation
    np.testing.assert_allclose(dataset.train_features, expected.transpose(0, 3, 1, 2), rtol=1e-5)
    assert dataset.train_labels.tolist() == content["train_labels"][rows(folders)].tolist()


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f4", "g"])
@pytest.mark.parametrize(
    ("shape", "expected"), [((7,), (7, 1, 1)), ((4, 5), (1, 4, 5)), ((6, 5, 4), (4, 6, 5))]
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


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "shape", [(3, 9, 8), (1, 9, 8), (3, 9, 3), (2, 2, 2), (7, 7, 16), (16, 7, 7)]
)
def test_channels_are_never_guessed(save, folders, kind, shape):
    content = arrays(shape, kind)
    save(**content)
    with pytest.raises(InvalidSpecError, match="channels=first or channels=last"):
        load_dataset(SELECTOR)
    last = (shape[2], *shape[:2])
    for where, expected in (("first", shape), ("last", last)):
        shutil.rmtree(folders.cache, ignore_errors=True)
        dataset = load_dataset(SELECTOR.replace("]", f",channels={where}]"))
        assert dataset.input_shape == expected
    original = np.moveaxis(content["train_images"][rows(folders)].astype(np.float64), 3, 1)
    found = dataset.train_features.numpy().astype(np.float64)
    if how := dataset.normalisation:
        mean, deviation = (np.reshape(one, (-1, 1, 1)) for one in (how.mean, how.deviation))
        found = (found * deviation + mean) * 255
    np.testing.assert_allclose(found, original, atol=1e-3)


def test_the_order_of_bytes_and_axes_in_the_file_does_not_matter(save, folders):
    content = arrays((6, 5, 3), np.float64)
    save(**content)
    first = load_dataset(SELECTOR)
    save(
        **{
            name: np.asfortranarray(array).astype(array.dtype.newbyteorder(">"))
            for name, array in content.items()
        }
    )
    second = load_dataset(SELECTOR)
    assert second is not first
    assert second.train_features.equal(first.train_features)
    assert second.train_labels.equal(first.train_labels)


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
        ({"train_images": np.zeros((12, 0, 5), dtype=np.uint8)}, r"shape \(12, 0, 5\)"),
        ({"train_images": np.zeros((11, 4, 5), dtype=np.uint8)}, "11 train_images"),
        ({"test_images": np.zeros((6, 4, 4), dtype=np.uint8)}, "shapes or types"),
        ({"test_images": np.zeros((6, 4, 5), dtype=np.float32)}, "shapes or types"),
        ({"train_labels": np.arange(12) % 3 * 1.0}, "train_labels .* float64"),
        ({"train_labels": np.zeros((12, 14), dtype=int)}, "14 labels .* train_labels"),
        ({"train_images": np.full((12, 4, 5), np.nan)}, "NaN or infinite .*train_images"),
        ({"train_images": np.full((12, 4, 5), -np.inf)}, "NaN or infinite .*train_images"),
        ({"train_images": np.full((12, 4, 5), 1e300)}, "train_images .*float32"),
        ({"train_images": np.zeros((12, 4, 5), dtype=complex)}, "type complex128"),
        ({"train_labels": np.arange(12) % 3 - 1}, "class -1 in train_labels"),
        ({"train_labels": np.full(12, 2**63, dtype=np.uint64)}, "class 9223372036854775808"),
        ({"train_labels": (np.arange(12) % 3).astype("m8[s]")}, "train_labels .* timedelta64"),
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


def with_header(content):
    """Return a function that writes a file whose first array begins with a header of that text."""

    def write(path):
        rest = arrays()
        del rest["train_images"]
        np.savez(path, **rest)
        with zipfile.ZipFile(path, "a") as archive:
            header = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content
            archive.writestr("train_images.npy", header + bytes(240))

    return write


def shaped(shape):
    return with_header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode())


@pytest.mark.parametrize(
    "write",
    [
        objects,
        one_array,
        truncated,
        flipped,
        text,
        shaped("(10**12,)"),
        shaped("(12, 1000000, 1000000)"),
        shaped("(4294967296, 4294967296, 4294967296)"),
        shaped("(-12, -4, 5)"),
        with_header(b"(" * 9000 + b"\n"),
        with_header(b"9" * 9000 + b"\n"),
        with_header(b"__import__('os').abort()\n"),
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
    ],
)
def test_a_damaged_file_is_named(folders, write, entries):
    write(folders.data / "mine.npz")
    with pytest.raises(DataError, match=r"'.*mine\.npz'"):
        load_dataset(SELECTOR)
    assert entries(folders.cache) == []


def test_arrays_are_measured_before_they_are_read(save, monkeypatch):
    save(**arrays((100, 100)))
    monkeypatch.setattr(_npz, "free_bytes", lambda: 350_000)  # 18 images of 10,000 bytes, twice
    with pytest.raises(InvalidSpecError, match=r"mine\.npz'.*memory"):
        load_dataset(SELECTOR)
    monkeypatch.setattr(_npz, "free_bytes", lambda: 370_000)
    assert load_dataset(SELECTOR).n_train == 12


def test_a_link_of_the_users_own_is_followed(save, folders):
    save(**arrays())
    (folders.data / "mine.npz").rename(folders.data / "other.npz")
    (folders.data / "mine.npz").symlink_to("other.npz")
    assert load_dataset(SELECTOR).n_train == 12


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


def owned(**changes):
    sites = np.array(["north", "south", "east"])
    content = arrays(train_clients=sites[np.arange(12) // 5], test_clients=sites[np.arange(6) % 3])
    return {**content, **changes}


def test_clients_come_with_the_samples_in_the_order_of_their_names(save, folders):
    content = owned()
    save(**content)
    dataset = load_dataset(SELECTOR)
    assert dataset.clients.names == ("east", "north", "south")
    names = np.array(dataset.clients.names)
    own = names[dataset.clients.train]
    assert own.tolist() == content["train_clients"][rows(folders)].tolist()
    assert sorted(names[dataset.clients.test]) == sorted(content["test_clients"])
    content.pop("test_clients")
    save(**content | {"train_clients": np.repeat([10, 9], 6)[:, None]})
    clients = load_dataset(SELECTOR).clients
    assert clients.names == ("9", "10")
    assert clients.test is None


def test_other_clients_are_other_data(save):
    save(**arrays())
    assert load_dataset(SELECTOR).clients is None
    digests = {dataset_digest(SELECTOR)}
    for owners in (np.arange(12) % 2, np.arange(12) % 3):
        save(**arrays(train_clients=owners))
        digests.add(dataset_digest(SELECTOR))
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("changes", "selector", "words"),
    [
        ({"train_votes": np.zeros((11, 2), int)}, SELECTOR, r"train_votes of shape \(11, 2\)"),
        ({"train_votes": np.full((12, 2), -1)}, SELECTOR, "no vote of sample"),
        ({"train_votes": np.full((12, 2), 99)}, SELECTOR, "class 99 in train_votes"),
        ({"train_clients": np.zeros(11, int)}, SELECTOR, r"train_clients of shape \(11,\).* 12"),
        ({"test_clients": np.array("a")}, SELECTOR, "test_clients of shape"),
        ({"train_clients": np.zeros(12)}, SELECTOR, "train_clients .*float64"),
        ({"train_clients": np.zeros((12, 2), int)}, SELECTOR, r"train_clients of shape \(12, 2\)"),
        ({"test_clients": np.arange(6)}, SELECTOR, "train_clients .* test_clients"),
        ({"test_clients": np.array(["west"] * 6)}, SELECTOR, "client 'west'.* no training"),
        ({"test_clients": np.array(["east"] * 6)}, SELECTOR, "no test sample of client 'north'"),
        ({"train_clients": np.arange(12)}, SELECTOR.replace("]", ",train=3]"), "client '0'"),
    ],
)
def test_clients_that_do_not_fit_are_refused(save, changes, selector, words):
    content = owned(**changes)
    if changes.keys() == {"train_clients"} and changes["train_clients"].ndim == 1:
        content.pop("test_clients")
    save(**content)
    with pytest.raises(InvalidSpecError, match=words):
        load_dataset(selector)


def test_clients_of_test_samples_need_those_of_training_samples(save):
    content = owned()
    content.pop("train_clients")
    save(**content)
    with pytest.raises(InvalidSpecError, match="no train_clients"):
        load_dataset(SELECTOR)
