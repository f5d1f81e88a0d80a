"""Series and texts: small files in the format of the published ones, and the user's own texts."""

import csv
import hashlib
import io
import sys
import tarfile
import types
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest

from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.datasets import _text, vader, watch
from fal_bench.errors import DataError, InvalidSpecError

LENGTHS = (420, 500, 610)


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """A file like the package's: three recordings of each of ten people."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(1, 11), len(LENGTHS))
    content = {
        "X": [rng.normal(3, 2, (length, 6)) for length in LENGTHS * 10],
        "y": np.arange(len(people)) % 7,
        "subject": people,
    }
    path = tmp_path / "watch_dataset.npy"
    np.save(path, content, allow_pickle=True)
    monkeypatch.setattr(watch, "_file", lambda: path)
    monkeypatch.setattr(watch, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return content


def test_windows_of_the_last_fifth_are_the_test_part_and_share_no_step(recordings):
    dataset = load_dataset("watch")
    assert (dataset.kind, dataset.input_shape) == ("series", (6, 1, 100))
    cuts = [round(0.8 * length) for length in LENGTHS]
    assert dataset.n_train == 10 * sum((cut - 100) // 50 + 1 for cut in cuts)
    assert dataset.n_test == 10 * sum(
        max(0, (length - cut - 100) // 50 + 1) for length, cut in zip(LENGTHS, cuts, strict=True)
    )
    features = dataset.train_features.numpy()
    np.testing.assert_allclose(features.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(features.std((0, 2, 3)), 1, atol=1e-5)
    steps = [
        {step.tobytes() for window in part[:, :, 0].numpy() for step in window.T}
        for part in (dataset.train_features, dataset.test_features)
    ]
    assert not steps[0] & steps[1]


def test_the_clients_are_the_people(recordings):
    clients = load_dataset("watch").clients
    assert len(clients.names) == 10
    assert set(np.bincount(clients.train)) == {
        sum((round(0.8 * length) - 100) // 50 + 1 for length in LENGTHS)
    }
    assert clients.test is not None


def test_people_may_be_left_out(recordings):
    dataset = load_dataset("watch[test_people=[10,2]]")
    assert len(dataset.clients.names) == 8
    assert dataset.clients.test is None
    assert dataset.n_test == 2 * sum((length - 100) // 50 + 1 for length in LENGTHS)
    assert load_dataset("watch[test_people=[2,10]]").train_features.equal(dataset.train_features)


def test_somebody_must_be_left_to_train_on(recordings):
    with pytest.raises(InvalidSpecError, match="test_people"):
        load_dataset("watch[test_people=[1,2,3,4,5,6,7,8,9,10]]")


def test_another_file_is_never_unpickled(recordings, monkeypatch):
    monkeypatch.setattr(watch, "_SHA256", "0" * 64)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(DataError, match=r"watch_dataset\.npy"):
        load_dataset("watch")


def test_the_package_of_recordings_is_named(monkeypatch):
    monkeypatch.setattr(watch, "_file", lambda: None)
    with pytest.raises(DataError, match=r"falbench\[seglearn\]"):
        load_dataset("watch")


@pytest.mark.skipif(find_spec("seglearn") is None, reason="the extra seglearn is not installed")
def test_the_package_holds_ten_people():
    dataset = load_dataset("watch")
    assert (dataset.n_train, dataset.n_test, dataset.n_classes) == (3693, 770, 7)


SNIPPETS = {
    site: [(f"{site} says {word} {number}", rating) for number in range(20)
           for word, rating in (("awful", -2.0), ("plain", 0.5), ("great", 0.51))]
    for site in vader.SITES
}  # fmt: skip
RATINGS = {-2.0: [-4, -1, 0], 0.5: [0, 1], 0.51: [1, 4, -1, 2]}


def archive():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for site, name in vader.SITES.items():
            rows = list(enumerate(SNIPPETS[site]))
            files = {
                "GroundTruth": [f"{row}\t{rating}\t{text}\n" for row, (text, rating) in rows],
                "anonDataRatings": [
                    f"{row}\t{rating}\t0.5\t{RATINGS[rating]}\r\n" for row, (_, rating) in rows
                ],
            }
            for kind, lines in files.items():
                member = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}_{kind}.txt")
                content_of = "".join(lines).encode()
                member.size = len(content_of)
                tar.addfile(member, io.BytesIO(content_of))
    return content.getvalue()


@pytest.fixture
def snippets(folders, monkeypatch):
    content = archive()
    monkeypatch.setattr(vader, "_SHA256", hashlib.sha256(content).hexdigest())
    (folders.data / vader._ARCHIVE).write_bytes(content)
    return content


def test_the_four_sites_are_clients_with_their_share_of_the_test_part(snippets):
    dataset = load_dataset("vader[encoder=words]")
    assert (dataset.kind, dataset.n_classes) == ("vector", 3)
    assert dataset.clients.names == tuple(vader.SITES)
    assert np.bincount(dataset.clients.test).tolist() == [12] * 4
    assert np.bincount(dataset.train_labels).tolist() == [64] * 3


def test_single_ratings_are_votes(snippets):
    dataset = load_dataset("vader[encoder=words]")
    votes = np.array([[0, 0, 1, -1], [1, 2, -1, -1], [2, 2, 0, 2]])
    assert dataset.train_votes.tolist() == votes[dataset.train_labels].tolist()


def test_the_source_package_is_read_as_it_is(snippets, folders):
    loose = load_dataset("vader[encoder=words]")
    (folders.data / vader._ARCHIVE).unlink()
    with zipfile.ZipFile(folders.data / vader._FILE, "w") as package:
        package.writestr(f"vaderSentiment-0.5/additional_resources/{vader._ARCHIVE}", snippets)
    for path in folders.cache.iterdir():
        path.rename(path.with_name(f"old{path.name}"))
    assert [(row.site, row.mean) for row in vader._rated()][:2] == [(0, -2.0), (0, 0.5)]
    assert loose.n_train == 192


@pytest.mark.parametrize("content", [None, b"", b"no zip", "other"])
def test_texts_that_are_not_there_or_damaged_are_one_sentence(folders, content):
    if content == "other":
        with zipfile.ZipFile(folders.data / vader._FILE, "w") as package:
            package.writestr("readme", "nothing else")
    elif content is not None:
        (folders.data / vader._FILE).write_bytes(content)
    with pytest.raises(DataError, match="pip download"):
        load_dataset("vader[encoder=words]")


@pytest.fixture
def reviews(folders):
    with (folders.data / "reviews.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["site", "review", "stars"])
        for site in ("east", "west"):
            writer.writerows([site, f"{site}, {'good' if row % 2 else 'bad'}", row % 2]
                             for row in range(20))  # fmt: skip


def test_texts_of_the_user(reviews):
    dataset = load_dataset("text[path=reviews.csv,text=review,label=stars,client=site]")
    assert dataset.input_shape == (1024, 1, 1)
    assert dataset.clients.names == ("east", "west")
    counted = (dataset.train_features[:, :, 0, 0] != 0).sum(1)
    assert counted.tolist() == [3] * dataset.n_train  # a site, a comma, a word
    norms = dataset.train_features.flatten(1).norm(dim=1)
    np.testing.assert_allclose(norms, 32, rtol=1e-5)
    with pytest.raises(InvalidSpecError, match="'body'"):
        load_dataset("text[path=reviews.csv,text=body,label=stars]")


def test_a_text_without_words_is_zero():
    vectors = _text.encode(["", "a"], "words", np.arange(2))
    assert vectors.any(axis=1).tolist() == [False, True]


def test_an_encoder_that_is_missing_is_named(reviews, monkeypatch):
    monkeypatch.setattr(_text, "find_spec", lambda name: None)
    for name in ("text[path=reviews.csv,text=review,label=stars,encoder=wordllama]", "vader"):
        with pytest.raises(DataError, match=r"falbench\[wordllama\]"):
            load_dataset(name)


def test_wordllama_averages_the_vectors_of_tokens(tmp_path, monkeypatch):
    """Stand-ins for the two packages that read its files; they are tried for real below."""
    vectors = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float16)

    class Tokenizer:
        from_file = staticmethod(lambda path: Tokenizer())
        no_padding = staticmethod(lambda: None)

        @staticmethod
        def encode_batch(texts, add_special_tokens):
            return [types.SimpleNamespace(ids=[int(part) for part in text]) for text in texts]

    spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(_text, "find_spec", lambda name: spec)
    monkeypatch.setattr(_text, "_AT_ONCE", 2)
    monkeypatch.setitem(sys.modules, "tokenizers", types.SimpleNamespace(Tokenizer=Tokenizer))
    loader = types.SimpleNamespace(load_file=lambda path: {"embedding.weight": vectors})
    monkeypatch.setitem(sys.modules, "safetensors", types.SimpleNamespace(numpy=loader))
    monkeypatch.setitem(sys.modules, "safetensors.numpy", loader)
    texts = ["12", "", "8"]
    raw = np.stack([vectors[[1, 2]].astype(np.float32).mean(0), np.zeros(4), vectors[8]])
    found = _text.encode(texts, "wordllama", np.array([0, 2]))
    seen = raw[[0, 2]]
    np.testing.assert_allclose(found, (raw - seen.mean(0)) / seen.std(0), rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(find_spec("wordllama") is None, reason="the extra wordllama is not installed")
def test_the_package_of_word_vectors(reviews):
    selector = "text[path=reviews.csv,text=review,label=stars,encoder=wordllama]"
    dataset = load_dataset(selector)
    assert dataset.input_shape == (256, 1, 1)
    assert dataset_digest(selector) != dataset_digest(selector.replace("wordllama", "words"))
