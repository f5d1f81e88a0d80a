import io
import tarfile

import numpy as np
import pytest

from fal_bench.data.loading import describe_dataset, load_dataset
from fal_bench.errors import DataError


def matches(dataset, parts):
    for part, (images, labels) in zip(("train", "test"), parts, strict=True):
        features = getattr(dataset, f"{part}_features")
        how = dataset.normalisation
        expected = (images / 255 - how.mean) / how.deviation
        np.testing.assert_allclose(features, expected.transpose(0, 3, 1, 2), rtol=1e-5)
        assert getattr(dataset, f"{part}_labels").tolist() == labels.tolist()
    return True


def test_the_archive_is_downloaded_and_read(photos, server, monkeypatch, folders, entries):
    name, kind, archive, parts = photos
    server.files[kind.filename] = archive
    monkeypatch.setattr(kind, "url", server.url + kind.filename)
    assert "not here; the first use downloads it" in describe_dataset(name)
    dataset = load_dataset(name)
    assert matches(dataset, parts)
    assert dataset.n_classes == {"cifar10": 10, "cifar100": 100}[name]
    assert entries(folders.data) == [kind.filename]
    assert "Data: ready." in describe_dataset(name)


def test_unpacked_batches_need_neither_archive_nor_network(photos, monkeypatch, nowhere, folders):
    name, kind, archive, parts = photos
    monkeypatch.setattr(kind, "url", nowhere)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folders.data, filter="data")
    assert f"Data: in {folders.data}" in describe_dataset(name)
    assert matches(load_dataset(name), parts)


def test_a_damaged_batch_is_not_used(photos, monkeypatch, nowhere, folders):
    name, kind, archive, parts = photos
    monkeypatch.setattr(kind, "url", nowhere)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folders.data, filter="data")
    batch = folders.data / kind.base_folder / kind.train_list[0][0]
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{kind.filename}' is not there and cannot be downloaded"):
        load_dataset(name)
    (folders.data / kind.filename).write_bytes(archive)
    assert matches(load_dataset(name), parts)


def test_a_truncated_archive_is_refused(photos, server, monkeypatch, folders, entries):
    name, kind, archive, _ = photos
    server.files[kind.filename] = archive
    server.cut = 50
    monkeypatch.setattr(kind, "url", server.url + kind.filename)
    with pytest.raises(DataError, match="truncated or another file"):
        load_dataset(name)
    assert entries(folders.data) == []
    assert entries(folders.cache) == []


def test_a_subset_has_the_same_classes(photos, folders):
    name, kind, archive, _ = photos
    (folders.data / kind.filename).write_bytes(archive)
    classes = {"cifar10": 10, "cifar100": 100}[name]
    dataset = load_dataset(f"{name}[train={classes},test={classes}]")
    assert sorted(dataset.train_labels.tolist()) == list(range(classes))
    assert dataset.n_classes == classes
