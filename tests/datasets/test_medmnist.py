import hashlib
import io
import sys
import types

import numpy as np
import pytest

from fal_bench.data.loading import dataset_digest, describe_dataset, load_dataset
from fal_bench.datasets import medmnist
from fal_bench.errors import DataError, InvalidSpecError


def file_content(size=28, classes=9):
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
    """Install or uninstall a package ``medmnist`` that knows where one set can be had."""

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
def test_a_file_in_place_needs_no_package(tmp_path, package, place):
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pathmnist.npz").write_bytes(file_content())
    assert "Data: here: pathmnist.npz." in describe_dataset("medmnist")
    dataset = load_dataset("medmnist[name=pathmnist]")
    assert dataset.name == "pathmnist"
    assert dataset.input_shape == (3, 28, 28)
    assert (dataset.n_train, dataset.n_test, dataset.n_classes) == (45, 18, 9)
    expected = hashlib.sha256(file_content()).hexdigest()
    assert dataset_digest("medmnist[name=pathmnist]") == expected


def test_the_package_says_where_a_file_can_be_had(folders, package, server, entries):
    content = file_content(64)
    server.files["p.npz"] = content
    package(server.url + "p.npz", content)
    assert "the first use downloads a set" in describe_dataset("medmnist")
    dataset = load_dataset("medmnist[name=pathmnist,size=64,train=18,test=9]")
    assert dataset.input_shape == (3, 64, 64)
    assert dataset.n_train == 18
    assert entries(folders.data / "medmnist") == ["pathmnist_64.npz"]


def test_without_file_and_package_both_ways_are_named(folders, package):
    with pytest.raises(DataError) as caught:
        load_dataset("medmnist[name=pathmnist,size=64]")
    message = str(caught.value)
    assert "'pathmnist_64.npz' is not on this machine" in message
    assert f"put it into the folder '{folders.data}/medmnist'" in message
    assert "pip install 'falbench[medmnist]'" in message


def test_a_wrong_download_is_refused(package, server, folders, entries):
    server.files["p.npz"] = b"<html>"
    package(server.url + "p.npz", file_content())
    with pytest.raises(DataError, match=r"p\.npz is truncated or another file"):
        load_dataset("medmnist[name=pathmnist]")
    assert entries(folders.data / "medmnist") == []


@pytest.mark.parametrize("bad", ["name=chestmnist", "name=PathMNIST", "name=pathmnist,size=32"])
def test_names_and_sizes_are_checked(bad, package):
    with pytest.raises(InvalidSpecError, match=r"must be .* or .*, not"):
        load_dataset(f"medmnist[{bad}]")


def test_the_package_knows_every_set_and_size():
    info = pytest.importorskip("medmnist.info", reason="the extra medmnist is not installed").INFO
    for name in medmnist.SetName.__args__:
        assert info[name]["python_class"].lower() == name
        assert "multi-label" not in info[name]["task"]
        for suffix in ("", "_64", "_128", "_224"):
            assert info[name][f"url{suffix}"].startswith("https://")
            assert len(info[name][f"MD5{suffix}"]) == 32
