import numpy as np
import pytest

from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.datasets._npz import ARRAYS
from fal_bench.errors import DataError, InvalidSpecError


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
    def save_arrays(**content):
        np.savez(folders.data / "mine.npz", **content)

    return save_arrays


SELECTOR = "npz[path=mine.npz]"


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


def test_labels_may_be_a_column_of_small_integers_and_more_arrays_are_ignored(save):
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
    digest = dataset_digest(SELECTOR)
    assert dataset_digest("npz[path=mine.npz,train=6]") == digest
    save(**arrays(train_labels=(np.arange(12) + 1) % 3))
    assert dataset_digest(SELECTOR) != digest
    save(**arrays())
    np.testing.assert_array_equal(len(digest), 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": np.zeros((12, 4, 5), dtype=np.int32)}, "type int32; use uint8"),
        ({"train_images": np.zeros((12, 4, 5), dtype=bool)}, "type bool; use uint8"),
        ({"train_images": np.zeros((12, 20), dtype=np.uint8)}, r"shape \(12, 20\); use \(samples"),
        (
            {"train_images": np.zeros((12, 3, 9, 9), dtype=np.uint8)},
            "9 channels; put chan",
        ),
        ({"train_images": np.zeros((12, 0, 5), dtype=np.uint8)}, r"shape \(12, 0, 5\)"),
        ({"train_images": np.zeros((11, 4, 5), dtype=np.uint8)}, "11 train_images but 12 train_l"),
        ({"test_images": np.zeros((6, 4, 4), dtype=np.uint8)}, "of different shapes or types"),
        ({"test_images": np.zeros((6, 4, 5), dtype=np.float32)}, "of different shapes or types"),
        ({"train_labels": np.arange(12) % 3 * 1.0}, "train_labels of shape .* type float64"),
        ({"train_labels": np.zeros((12, 14), dtype=int)}, "14 labels a sample in train_labels"),
        ({"train_labels": np.arange(12) % 3 - 1}, "the class -1 in train_labels; use 0, 1"),
        ({"train_labels": np.arange(12) % 3 + 1}, "the classes 1, 2, 3 in train_labels; use 0, 1"),
        ({"train_labels": np.arange(12) % 3 * 2}, "the classes 0, 2, 4 in train_labels"),
        ({"train_labels": np.zeros(12, dtype=int)}, "the classes 0 in train_labels"),
        ({"test_labels": np.full(6, 3)}, "class 3 in test_labels but not in train_labels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(save, changes, message):
    save(**arrays(**changes))
    with pytest.raises(InvalidSpecError, match=rf"mine\.npz' has .*{message}") as caught:
        load_dataset(SELECTOR)
    assert str(caught.value).count("\n") == 0


def test_infinite_features_are_refused(save):
    save(**arrays((7,), np.float32, train_images=np.full((12, 7), np.inf, np.float32)))
    with pytest.raises(InvalidSpecError, match="NaN or infinite"):
        load_dataset(SELECTOR)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_array_is_named(save, name):
    content = arrays()
    del content[name]
    save(**content)
    with pytest.raises(InvalidSpecError, match=f"lacks the array '{name}'; it has: "):
        load_dataset(SELECTOR)


def broken_files():
    rng = np.random.default_rng(0)

    def objects(path):
        np.savez(path, **arrays(train_labels=np.array([None] * 12)))

    def one_array(path):
        with path.open("wb") as file:
            np.save(file, rng.normal(size=3))

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

    return [objects, one_array, truncated, flipped, text]


@pytest.mark.parametrize("write", broken_files(), ids=lambda write: write.__name__)
def test_a_damaged_file_is_named(folders, write, entries):
    write(folders.data / "mine.npz")
    with pytest.raises(DataError, match=r"Cannot read '.*mine\.npz' as a NumPy"):
        load_dataset(SELECTOR)
    assert entries(folders.cache) == []


def test_a_missing_file_is_named(folders):
    with pytest.raises(DataError, match=r"'npz': cannot read '.*data/mine\.npz' \(a relative"):
        load_dataset(SELECTOR)
    with pytest.raises(DataError, match=r"cannot read '/nowhere/mine\.npz': No such file"):
        load_dataset("npz[path=/nowhere/mine.npz]")
