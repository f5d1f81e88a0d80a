import os
from pathlib import Path

import pytest

from fal_bench.data.folders import use_data_folder
from fal_bench.datasets.imagefolder import _list_images
from fal_bench.errors import DataError, InvalidSpecError


@pytest.fixture
def photos(tmp_path):
    """Two classes with two training images and one test image each; their content is of no use."""
    for name in ("train/cat/b.jpg", "train/cat/a.PNG", "train/dog/c.jpeg", "train/dog/10.jpg",
                 "test/cat/d.jpg", "test/dog/e.jpg"):  # fmt: skip
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "photos"


def test_images_and_classes_are_sorted_by_name(photos):
    listing = _list_images(photos)
    assert listing.classes == ("cat", "dog")
    names = ["train/cat/a.PNG", "train/cat/b.jpg", "train/dog/10.jpg", "train/dog/c.jpeg"]
    assert [file.name for file in listing.train] == names
    assert [file.label for file in listing.train] == [0, 0, 1, 1]
    assert [file.name for file in listing.test] == ["test/cat/d.jpg", "test/dog/e.jpg"]


def test_a_relative_path_is_one_in_the_data_folder(photos):
    with use_data_folder(photos.parent):
        assert _list_images(Path("photos")) == _list_images(photos)
    with pytest.raises(DataError, match=r"data/photos' \(a relative path is one in the data fol"):
        _list_images(Path("photos"))


def test_litter_is_skipped(photos):
    before = _list_images(photos)
    (photos / ".DS_Store").write_text("")
    (photos / "train" / ".thumbnails").mkdir()
    (photos / "train" / "Thumbs.db").write_text("")
    (photos / "test" / "dog" / "._e.jpg").write_text("")
    assert _list_images(photos) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "train/cat/new.jpg").write_text(""),
        lambda folder: (folder / "test/dog/e.jpg").rename(folder / "test/dog/f.jpg"),
        lambda folder: (folder / "train/cat/b.jpg").rename(folder / "train/dog/b.jpg"),
        lambda folder: (folder / "train/cat/b.jpg").unlink(),
        lambda folder: (folder / "train/cat/b.jpg").write_text("longer than before"),
        lambda folder: os.utime(folder / "train/cat/b.jpg", (1, 1)),
    ],
)
def test_every_change_changes_the_fingerprint(photos, change):
    before = _list_images(photos).fingerprint
    assert _list_images(photos).fingerprint == before
    change(photos)
    assert _list_images(photos).fingerprint != before


def remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: remove(folder / "test" / "dog"), "'dog' is in .*/train' but not in test/"),
        (lambda folder: remove(folder / "train" / "cat"), "'cat' is in .*/test' but not in train/"),
        (
            lambda folder: (remove(folder / "train" / "cat"), remove(folder / "test" / "cat")),
            r"train' has 1 class folder; make one folder for each of at least 2",
        ),
        (
            lambda folder: [remove(path) for path in folder.glob("*/*")],
            r"train' has 0 class folders;",
        ),
        (lambda folder: (folder / "test/dog/e.jpg").unlink(), "test/dog' is empty"),
        (lambda folder: (folder / "train" / "x.jpg").write_text(""), "x.jpg' is no folder; put"),
        (lambda folder: (folder / "train/cat/x.webp").write_text(""), "x.webp' is no jpg or png"),
        (lambda folder: (folder / "train/cat/more.png").mkdir(), "more.png' is a folder inside a"),
        (
            lambda folder: (folder / "train/cat/x.png").symlink_to("gone.png"),
            "x.png' is a broken link to 'gone.png'",
        ),
        (
            lambda folder: (folder / "train/cat/x.png").symlink_to("x.png"),
            "x.png' is a broken link to 'x.png'",
        ),
    ],
)
def test_folders_of_another_shape_are_refused(photos, change, message):
    change(photos)
    with pytest.raises(InvalidSpecError, match=message):
        _list_images(photos)


@pytest.mark.parametrize("part", ["train", "test"])
def test_both_parts_must_be_there(photos, part):
    remove(photos / part)
    with pytest.raises(DataError, match=f"no folder '.*/{part}'; an image folder has one folder a"):
        _list_images(photos)
