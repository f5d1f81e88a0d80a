import numpy as np
import pytest
import torch

from fal_bench.data import loading
from fal_bench.data.folders import CACHE_VARIABLE, DATA_VARIABLE
from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.features import embedding
from fal_bench.strategies.fal_margin import FalMargin
from fal_bench.task import Mlp

SELECTOR = "frozen[dataset=npz[path=mine.npz],weights=none,size=33]"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A data folder with a file of small images in two classes, and a cache of its own."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    save(tmp_path)
    yield tmp_path
    loading._load.cache_clear()


def save(folder, seed=0):
    rng = np.random.default_rng(seed)
    content = {}
    for part, count in (("train", 40), ("test", 20)):
        labels = np.arange(count) % 2
        images = rng.integers(0, 128, (count, 6, 6)) + 120 * labels[:, None, None]
        content |= {f"{part}_images": images.astype(np.uint8), f"{part}_labels": labels}
    np.savez(folder / "mine.npz", **content)


@pytest.fixture
def calls(monkeypatch):
    made = []
    original = embedding.embed_images

    def counted(*arguments):
        made.append(len(arguments[1]))
        return original(*arguments)

    monkeypatch.setattr(embedding, "embed_images", counted)
    return made


def test_samples_are_embeddings_with_the_images_labels():
    dataset = load_dataset(SELECTOR)
    images = load_dataset("npz[path=mine.npz]")
    assert dataset.input_shape == (512, 1, 1)
    assert (dataset.n_train, dataset.n_test, dataset.n_classes) == (40, 20, 2)
    assert torch.equal(dataset.train_labels, images.train_labels)
    assert torch.equal(dataset.test_labels, images.test_labels)
    assert dataset.train_features.mean().item() == pytest.approx(0, abs=1e-5)
    centres = [dataset.train_features[dataset.train_labels == k].mean(0) for k in (0, 1)]
    nearer = [((dataset.test_features - centre) ** 2).sum((1, 2, 3)) for centre in centres]
    predicted = (nearer[1] < nearer[0]).long()
    assert (predicted == dataset.test_labels).float().mean() > 0.9


def test_they_are_computed_once(calls):
    first = load_dataset(SELECTOR)
    loading._load.cache_clear()
    assert load_dataset(SELECTOR).train_features.equal(first.train_features)
    assert calls == [40, 20]


def test_other_images_are_embedded_anew(home, calls):
    digest = dataset_digest(SELECTOR)
    assert digest == dataset_digest("npz[path=mine.npz]")
    first = load_dataset(SELECTOR)
    save(home, seed=1)
    assert dataset_digest(SELECTOR) != digest
    assert not load_dataset(SELECTOR).train_features.equal(first.train_features)
    assert calls == [40, 20, 40, 20]


def test_the_seed_draws_the_network():
    first = load_dataset(SELECTOR)
    other = load_dataset(SELECTOR.replace("size", "seed=1,size"))
    assert not other.train_features.equal(first.train_features)
    same = load_dataset(SELECTOR.replace("size", "seed=0,size"))
    assert same.train_features.equal(first.train_features)


def test_published_images_have_no_digest():
    assert dataset_digest("frozen[dataset=digits,weights=none]") == ""


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_a_head_is_federated(tiny, run, hidden):
    dataset = load_dataset(SELECTOR)
    changes = {"model": Mlp(hidden=hidden), "clients": 2, "budget_cap": 16}
    rows = run(tiny.model_copy(update=changes), FalMargin, dataset).rows
    assert [row.labels for row in rows] == [8, 12, 16, 20]
    assert rows[-1].metrics["accuracy"] > 0.9
    weights = 512 * 2 + 2 if not hidden else 512 * 8 + 8 + 8 * 2 + 2
    assert rows[0].bytes_up == 2 * 2 * 4 * weights  # clients, rounds, bytes a number


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("frozen", "needs a value for 'dataset'"),
        ("frozen[dataset=digits,size=32]", "size of at least 33, not 32"),
        ("frozen[dataset=digits,seed=-1]", "seed of at least 0, not -1"),
        ("frozen[dataset=digits,backbone=vgg]", "'backbone' .* must be"),
        ("frozen[dataset=frozen[dataset=digits]]", "is made of images, not of"),
        ("frozen[dataset=npz[path=flat.npz],weights=none]", r"samples of shape \(5, 1, 1\)"),
        ("frozen[dataset=npz[path=odd.npz],weights=none]", "does not say how its features came"),
    ],
)
def test_what_has_no_images_is_refused(home, selector, message):
    labels = {"train_labels": np.arange(6) % 2, "test_labels": np.arange(6) % 2}
    for name, shape in (("flat", (6, 5)), ("odd", (6, 4, 4))):
        values = np.random.default_rng(0).normal(size=shape)
        np.savez(home / f"{name}.npz", train_images=values, test_images=values, **labels)
    with pytest.raises(InvalidSpecError, match=message):
        load_dataset(selector)


def test_unknown_images_are_named():
    with pytest.raises(DataError, match=r"gone\.npz"):
        load_dataset("frozen[dataset=npz[path=gone.npz],weights=none]")
