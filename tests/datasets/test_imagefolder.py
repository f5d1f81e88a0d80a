import os
import shutil

import numpy as np
import pytest
from PIL import Image

from fal_bench.data import images, loading
from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.datasets import imagefolder
from fal_bench.errors import DataError, FalbenchError, InvalidSpecError

SELECTOR = "imagefolder[path=photos]"


@pytest.fixture
def photos(folders):
    """Three classes, twelve training and six test images of 5x4 whose red is a running number."""
    for part, count in (("train", 4), ("test", 2)):
        for label, name in enumerate(("ant", "bee", "cow")):
            path = folders.data / "photos" / part / name
            path.mkdir(parents=True)
            for number in range(count):
                pixels = np.full((4, 5, 3), 100 + label, dtype=np.uint8)
                pixels[..., 0] = 20 * label + number
                Image.fromarray(pixels).save(path / f"{number}.png")
    return folders.data / "photos"


@pytest.fixture
def decoded(monkeypatch):
    """How many images were decoded each time."""
    counts = []
    original = imagefolder.decode_all

    def counted(folder, names, *arguments):
        counts.append(len(names))
        return original(folder, names, *arguments)

    monkeypatch.setattr(imagefolder, "decode_all", counted)
    return counts


@pytest.fixture
def prepared(folders):
    """Return a function that finds the only prepared data set."""

    def only():
        [found] = [path for path in folders.cache.iterdir() if path.is_dir()]
        return found

    return only


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


def test_the_order_says_nothing_of_the_class_and_is_fixed(photos, folders):
    labels = load_dataset(SELECTOR).train_labels.tolist()
    assert labels not in (sorted(labels), sorted(labels, reverse=True))
    loading._load.cache_clear()
    shutil.rmtree(folders.cache)
    assert load_dataset(SELECTOR).train_labels.tolist() == labels


def test_each_sample_can_be_traced_to_its_file(photos, prepared):
    dataset = load_dataset(SELECTOR)
    files = (prepared() / "train_files.txt").read_text().split()
    for red, file in zip(reds(dataset), files, strict=True):
        assert np.asarray(Image.open(photos / file))[0, 0, 0] == red


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: shutil.copy(folder / "train/ant/0.png", folder / "train/ant/9.png"),
        lambda folder: (folder / "test/bee/0.png").rename(folder / "test/bee/f.png"),
        lambda folder: (folder / "train/ant/1.png").rename(folder / "train/bee/b.png"),
        lambda folder: (folder / "train/ant/1.png").unlink(),
        lambda folder: shutil.copy(folder / "train/cow/3.png", folder / "train/ant/1.png"),
        lambda folder: os.utime(folder / "train/ant/1.png", (1, 1)),
    ],
)
def test_images_are_decoded_once_and_again_after_every_change(photos, decoded, prepared, change):
    first = load_dataset(SELECTOR)
    loading._load.cache_clear()
    assert load_dataset(SELECTOR).train_features.equal(first.train_features)
    assert decoded == [12, 6]
    change(photos)
    digest = dataset_digest(SELECTOR)
    assert len(decoded) == 4
    assert sum(decoded[2:]) == len(list(photos.glob("*/*/*.png")))
    assert prepared()  # the old one is gone
    assert dataset_digest(SELECTOR) == digest


def test_the_digest_is_that_of_the_content(photos, tmp_path, monkeypatch):
    digest = dataset_digest(SELECTOR)
    assert len(digest) == 64
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    assert dataset_digest(SELECTOR) == digest
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    monkeypatch.setenv("FALBENCH_DATA", str(tmp_path / "copy"))
    assert dataset_digest(SELECTOR) == digest
    one, other = photos / "train/ant/0.png", photos / "train/ant/1.png"
    contents = one.read_bytes(), other.read_bytes()
    for path, content in zip((other, one), contents, strict=True):
        path.write_bytes(content)
    swapped = dataset_digest(f"imagefolder[path={photos}]")
    assert swapped != digest
    for part in ("train", "test"):
        (photos / part / "bee").rename(photos / part / "bug")
    assert dataset_digest(f"imagefolder[path={photos}]") not in (digest, swapped)


def test_an_image_of_the_same_size_and_date_is_seen(photos):
    path = photos / "train/ant/0.png"
    digests = set()
    for colour in ((1, 2, 3), (3, 2, 1)):
        Image.new("RGB", (5, 4), colour).save(path)
        os.utime(path, (1, 1))
        digests.add((path.stat().st_size, dataset_digest(SELECTOR)))
    assert len(digests) == 2
    assert len({size for size, _ in digests}) == 1


def test_options(photos):
    dataset = load_dataset("imagefolder[path=photos,size=3,colour=grey,train=6,test=3]")
    assert dataset.input_shape == (1, 3, 3)
    assert np.bincount(dataset.train_labels).tolist() == [2, 2, 2]
    assert np.bincount(dataset.test_labels).tolist() == [1, 1, 1]
    for bad in ("size=0", "size=1000000000", "size=big", "colour=blue", "train=2", "train=13"):
        with pytest.raises(InvalidSpecError, match=bad.partition("=")[0]):
            load_dataset(f"imagefolder[path=photos,{bad}]")


@pytest.mark.parametrize("options", ["size=4000", "size=4000,colour=grey", "train=12"])
@pytest.mark.parametrize(
    ("short_of", "said"), [("_free_disk", "cache folder"), ("free_bytes", "in memory")]
)
def test_what_does_not_fit_is_refused_before_it_is_decoded(
    photos, decoded, monkeypatch, options, short_of, said
):
    for name in ("_free_disk", "free_bytes"):
        monkeypatch.setattr(images, name, lambda *_, name=name: 500 if name == short_of else 1e15)
    with pytest.raises(InvalidSpecError, match=rf"18 images.*{said}"):
        load_dataset(f"imagefolder[path=photos,{options}]")
    assert not decoded


def test_only_the_images_in_use_are_decoded_and_count(photos, prepared):
    selector = "imagefolder[path=photos,train=3,test=3]"
    digest = dataset_digest(selector)
    used = set((prepared() / "train_files.txt").read_text().split())
    unused = next(
        path for path in photos.glob("train/*/*") if str(path.relative_to(photos)) not in used
    )
    unused.write_bytes(b"broken")
    assert dataset_digest(selector) == digest
    with pytest.raises(DataError, match=unused.name):
        dataset_digest(SELECTOR)


def test_a_corrupt_image_is_named_and_nothing_is_kept(photos, entries, folders):
    broken = photos / "train/bee/2.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"train/bee/2\.png"):
        load_dataset(SELECTOR)
    assert entries(folders.cache) == []


def test_files_of_file_managers_are_skipped_and_suffixes_may_be_in_capitals(photos):
    digest = dataset_digest(SELECTOR)
    (photos / ".DS_Store").write_text("")
    (photos / "train" / ".thumbnails").mkdir()
    (photos / "train" / "Thumbs.db").write_text("")
    (photos / "test" / "bee" / "._e.jpg").write_text("")
    assert dataset_digest(SELECTOR) == digest
    (photos / "test" / "bee" / "0.png").rename(photos / "test" / "bee" / "0.PNG")
    assert load_dataset(SELECTOR).n_test == 6


def test_names_need_not_be_utf_8(photos, prepared):
    digest = dataset_digest(SELECTOR)
    for part in ("train", "test"):
        os.rename(photos / part / "bee", os.fsencode(photos / part) + b"/b\xe9e")
    os.rename(photos / "train/ant/0.png", os.fsencode(photos / "train/ant") + b"/se\xf1al.png")
    assert load_dataset(SELECTOR).n_train == 12
    assert dataset_digest(SELECTOR) != digest
    named = (prepared() / "train_files.txt").read_bytes().splitlines()
    assert all(os.path.exists(os.fsencode(photos) + b"/" + name) for name in named)


def link(target):
    return lambda folder: (folder / "train/ant/x.png").symlink_to(target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "test" / "bee"), "'bee' .*/train'"),
        (lambda folder: shutil.rmtree(folder / "train" / "ant"), "'ant' .*/test'"),
        (
            lambda folder: [shutil.rmtree(path) for path in folder.glob("*/[bc]*")],
            "1 class folder;",
        ),
        (lambda folder: [shutil.rmtree(path) for path in folder.glob("*/*")], "0 class folders;"),
        (lambda folder: [path.unlink() for path in folder.glob("test/bee/*")], "test/bee'.* empty"),
        (lambda folder: (folder / "train" / "x.jpg").write_text(""), r"x\.jpg' is no folder"),
        (lambda folder: (folder / "train/ant/x.webp").write_text(""), r"x\.webp' is no jpg or png"),
        (lambda folder: (folder / "train/ant/more.png").mkdir(), r"more\.png' is a folder"),
        (lambda folder: os.mkfifo(folder / "train/ant/x.png"), r"x\.png' is no file"),
        (link("gone.png"), r"x\.png' is a broken link to 'gone\.png'"),
        (link("x.png"), r"x\.png' is a broken link to 'x\.png'"),
        (lambda folder: shutil.rmtree(folder / "train"), r"no folder '.*/train'"),
        (lambda folder: shutil.rmtree(folder / "test"), r"no folder '.*/test'"),
        (lambda folder: shutil.rmtree(folder), "no folder .*relative path"),
    ],
)
def test_folders_of_another_shape_are_refused(photos, decoded, change, message):
    change(photos)
    with pytest.raises(FalbenchError, match=message):
        load_dataset(SELECTOR)
    assert not decoded


BY_FOLDER = "imagefolder[path=photos,clients=folder]"
BY_LIST = "imagefolder[path=photos,clients=sites.csv]"


def move_to_clients(photos, parts=("train", "test")):
    """Give images to north and south by turns; south has no training image of a cow."""
    for part in parts:
        for number, file in enumerate(sorted((photos / part).glob("*/*.png"))):
            own = "north" if number % 2 or (part, file.parent.name) == ("train", "cow") else "south"
            place = photos / part / own / file.parent.name
            place.mkdir(parents=True, exist_ok=True)
            file.rename(place / file.name)
        for name in ("ant", "bee", "cow"):
            (photos / part / name).rmdir()


def append(path, line):
    path.write_text(path.read_text() + line)


def listed(photos, *, test=True, **owners):
    files = sorted(photos.glob("*/*/*.png")) if test else sorted(photos.glob("train/*/*.png"))
    names = [file.relative_to(photos).as_posix() for file in files]
    own = {name: ("north", "south")[number % 2] for number, name in enumerate(names)} | owners
    lines = [f"{name},{client}\n" for name, client in own.items()]
    (photos / "sites.csv").write_text("file,client\n" + "".join(lines))


@pytest.mark.parametrize("test", [True, False])
def test_clients_may_be_a_level_of_folders(photos, prepared, test):
    move_to_clients(photos, ("train", "test") if test else ("train",))
    (photos / "train" / "south" / "cow").mkdir()  # an empty folder of a class it does not have
    dataset = load_dataset(BY_FOLDER)
    assert dataset.clients.names == ("north", "south")
    assert np.bincount(dataset.clients.train).tolist() == [8, 4]
    assert (dataset.clients.test is not None) == test
    files = (prepared() / "train_files.txt").read_text().split()
    for name, owner, label in zip(files, dataset.clients.train, dataset.train_labels, strict=True):
        assert name.split("/")[1:3] == [("north", "south")[owner], ("ant", "bee", "cow")[label]]


@pytest.mark.parametrize("test", [True, False])
def test_clients_may_be_listed(photos, prepared, test):
    plain = dataset_digest(SELECTOR)
    shutil.rmtree(prepared())
    listed(photos, test=test)
    dataset = load_dataset(BY_LIST)
    assert dataset.clients.names == ("north", "south")
    assert (dataset.clients.test is not None) == test
    files = (prepared() / "train_files.txt").read_text().split()
    for name, owner in zip(files, dataset.clients.train, strict=True):
        assert f"{name},{dataset.clients.names[owner]}" in (photos / "sites.csv").read_text()
    first = dataset_digest(BY_LIST)
    listed(photos, test=test, **{files[0]: "south", files[1]: "north", files[2]: "south"})
    assert len({plain, first, dataset_digest(BY_LIST)}) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "sites.csv"),
        (lambda path: path.write_text("file,site\n"), "no column 'client'"),
        (lambda path: path.write_text(""), "no column 'file'"),
        (lambda path: path.write_text("file,client\ntrain/ant/0.png\n"), "line 2"),
        (lambda path: path.write_text("file,client,client\na,b,c\n"), "two columns .*'client'"),
        (lambda path: path.write_text("file,client\ntrain/ant/0.png,a\n"), "'train/ant/1.png'"),
        (lambda path: append(path, "test/ant/0.png,a\n"), "'test/ant/1.png'"),
        (lambda path: append(path, "train/ant/9.png,a\n"), "'train/ant/9.png'"),
        (lambda path: append(path, "train/ant/0.png,a\n"), "line 14: 'train/ant/0.png'"),
        (lambda path: append(path, "train/ant/0.png,=a\n"), "line 14"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "UTF-8"),
    ],
)
def test_wrong_lists_of_clients_are_refused(photos, change, message):
    listed(photos, test=False)
    change(photos / "sites.csv")
    with pytest.raises(FalbenchError, match=message) as caught:
        load_dataset(BY_LIST)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "train/west").mkdir(), r"west"),
        (lambda path: (path / "train/west/ant").mkdir(parents=True), r"west' holds no image"),
        (lambda path: (path / "train/north/dog").mkdir(), r"'dog'"),
        (lambda path: shutil.rmtree(path / "test/south"), r"no test sample of client 'south'"),
        (lambda path: shutil.rmtree(path / "train/south"), r"client 'south'.*no training"),
        (lambda path: (path / "train/north/x.jpg").write_text(""), r"x\.jpg' is no folder"),
        (lambda path: shutil.rmtree(path / "train/north/cow"), r"'cow'"),
    ],
)
def test_wrong_folders_of_clients_are_refused(photos, change, message):
    move_to_clients(photos)
    change(photos)
    with pytest.raises(FalbenchError, match=message):
        load_dataset(BY_FOLDER)


def test_folders_of_clients_are_recognised_and_named(photos):
    move_to_clients(photos)
    with pytest.raises(InvalidSpecError, match="clients=folder"):
        load_dataset(SELECTOR)


def test_class_folders_that_differ_in_case_or_blanks_are_refused(photos):
    one = min(path.name for path in (photos / "train").iterdir())
    for part in ("train", "test"):
        (photos / part / one).rename(photos / part / "Cat")
        (photos / part / "cat ").mkdir()
    with pytest.raises(InvalidSpecError, match="'Cat' and 'cat '"):
        load_dataset("imagefolder[path=photos]")
