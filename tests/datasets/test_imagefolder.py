import os
import shutil

import numpy as np
import pytest
from PIL import Image

from fal_bench.data.images import room
from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.datasets import imagefolder
from fal_bench.errors import DataError, InvalidSpecError


@pytest.fixture
def photos(folders):
    """Three classes, twelve training and six test images of 5x4 whose red is a running number."""
    counts = {"train": 4, "test": 2}
    for part, count in counts.items():
        for label, name in enumerate(("ant", "bee", "cow")):
            path = folders.data / "photos" / part / name
            path.mkdir(parents=True)
            for number in range(count):
                pixels = np.full((4, 5, 3), 100 + label, dtype=np.uint8)
                pixels[..., 0] = 20 * label + number
                Image.fromarray(pixels).save(path / f"{number}.png")
    return folders.data / "photos"


SELECTOR = "imagefolder[path=photos]"


def reds(dataset, part="train"):
    how = dataset.normalisation
    features = getattr(dataset, f"{part}_features")[:, 0, 0, 0]
    return np.rint((features.numpy() * how.deviation[0] + how.mean[0]) * 255).astype(int)


def test_images_come_with_the_class_of_their_folder(photos):
    dataset = load_dataset(SELECTOR)
    assert dataset.input_shape == (3, 4, 5)
    assert (dataset.n_train, dataset.n_test, dataset.n_classes) == (12, 6, 3)
    for part in ("train", "test"):
        labels = getattr(dataset, f"{part}_labels").numpy()
        assert (reds(dataset, part) // 20 == labels).all()
    assert sorted(reds(dataset)) == sorted(20 * label + n for label in range(3) for n in range(4))


def test_the_order_says_nothing_of_the_class_and_is_fixed(photos):
    labels = load_dataset(SELECTOR).train_labels.tolist()
    assert labels not in (sorted(labels), sorted(labels, reverse=True))
    load_dataset.__globals__["_load"].cache_clear()
    shutil.rmtree(os.environ["FALBENCH_CACHE"])
    assert load_dataset(SELECTOR).train_labels.tolist() == labels


def test_each_sample_can_be_traced_to_its_file(photos, folders):
    dataset = load_dataset(SELECTOR)
    [prepared] = [path for path in folders.cache.iterdir() if path.is_dir()]
    files = (prepared / "train_files.txt").read_text().split()
    for red, file in zip(reds(dataset), files, strict=True):
        assert np.asarray(Image.open(photos / file))[0, 0, 0] == red


def test_images_are_decoded_once(photos, monkeypatch):
    first = load_dataset(SELECTOR)
    load_dataset.__globals__["_load"].cache_clear()
    monkeypatch.setattr(imagefolder, "decode_all", None)
    assert load_dataset(SELECTOR).train_features.equal(first.train_features)


def test_a_changed_folder_is_read_anew(photos, folders):
    before = load_dataset(SELECTOR)
    digest = dataset_digest(SELECTOR)
    Image.fromarray(np.full((4, 5, 3), 255, dtype=np.uint8)).save(photos / "train/ant/9.png")
    assert load_dataset(SELECTOR).n_train == before.n_train + 1
    assert dataset_digest(SELECTOR) != digest
    assert len([path for path in folders.cache.iterdir() if path.is_dir()]) == 1


def test_the_digest_is_that_of_the_content(photos, tmp_path, monkeypatch):
    digest = dataset_digest(SELECTOR)
    assert len(digest) == 64
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    assert dataset_digest(SELECTOR) == digest
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere")
    monkeypatch.setenv("FALBENCH_DATA", str(tmp_path / "elsewhere"))
    assert dataset_digest(SELECTOR) == digest
    one, other = photos / "train/ant/0.png", photos / "train/ant/1.png"
    one_content, other_content = one.read_bytes(), other.read_bytes()
    one.write_bytes(other_content)
    other.write_bytes(one_content)
    assert dataset_digest(f"imagefolder[path={photos}]") != digest


def test_a_renamed_class_is_another_data_set(photos):
    digest = dataset_digest(SELECTOR)
    for part in ("train", "test"):
        (photos / part / "bee").rename(photos / part / "bug")
    assert dataset_digest(SELECTOR) != digest


def test_options(photos):
    selector = "imagefolder[path=photos,size=3,colour=grey,train=6,test=3]"
    dataset = load_dataset(selector)
    assert dataset.input_shape == (1, 3, 3)
    assert np.bincount(dataset.train_labels).tolist() == [2, 2, 2]
    assert np.bincount(dataset.test_labels).tolist() == [1, 1, 1]
    for bad in ("size=0", "size=big", "colour=blue", "train=2", "train=13"):
        with pytest.raises(InvalidSpecError, match=bad.partition("=")[0]):
            load_dataset(f"imagefolder[path=photos,{bad}]")


@pytest.mark.parametrize("options", ["size=5000", "size=5000,colour=grey", "train=12"])
def test_what_does_not_fit_is_refused_before_it_is_decoded(photos, monkeypatch, options):
    monkeypatch.setattr(imagefolder, "decode_all", None)
    for asked, where in (
        ("_free_disk", "on the disk of the cache folder"),
        ("free_bytes", "in memory; choose a smaller size"),
    ):
        message = rf"18 images of \d+x\d+ take .* free {where}"
        with monkeypatch.context() as patch:
            for name in ("_free_disk", "free_bytes"):
                patch.setattr(room, name, lambda *_: 10**15)
            patch.setattr(room, asked, lambda *_: 500)
            with pytest.raises(InvalidSpecError, match=message):
                load_dataset(f"imagefolder[path=photos,{options}]")


def test_only_the_images_in_use_are_decoded_and_count(photos, folders):
    selector = "imagefolder[path=photos,train=3,test=3]"
    digest = dataset_digest(selector)
    [prepared] = [path for path in folders.cache.iterdir() if path.is_dir()]
    used = set((prepared / "train_files.txt").read_text().split())
    unused = [
        path for path in photos.glob("train/*/*") if str(path.relative_to(photos)) not in used
    ]
    unused[0].write_bytes(b"broken")
    assert dataset_digest(selector) == digest
    with pytest.raises(DataError, match=unused[0].name):
        dataset_digest(SELECTOR)


def test_a_corrupt_image_is_named_and_nothing_is_kept(photos, entries, folders):
    broken = photos / "train/bee/2.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"train/bee/2\.png"):
        load_dataset(SELECTOR)
    assert entries(folders.cache) == []
