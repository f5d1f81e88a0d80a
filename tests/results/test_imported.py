"""Curves measured elsewhere: what is read, how every mistake is named, and where they are kept."""

import csv
import json
import os

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import TINY

import fal_bench
from fal_bench.errors import ExternalCurvesError, StoreError, UnknownNameError
from fal_bench.inputs.files import UnreadableFileError
from fal_bench.results.imported import ImportFolder, read_curves_text, read_import

GOOD = """task,strategy,seed,labels,accuracy
a,mine,0,10,0.1
a,mine,0,20,0.5
a,mine,1,10,0.2
"""
HASH = "0123456789abcdef" * 4


def read(text, **options):
    return read_curves_text(text, "curves.csv", **options)


def changed(line, text):
    """The good file with one of its lines (from 1) replaced."""
    lines = GOOD.splitlines()
    lines[line - 1] = text
    return "\n".join(lines)


def test_rows_without_cycles_are_numbered_in_their_order():
    rows = read(GOOD).rows
    names = ("seed", "cycle", "labels", "accuracy")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (0, 0, 10, 0.1),
        (0, 1, 20, 0.5),
        (1, 0, 10, 0.2),
    ]
    assert {row["labels_strict"] for row in rows} == {None}
    assert {row["task_hash"] for row in rows} == {None}


def test_the_labels_of_many_clients_are_a_long_field_that_is_read_over():
    before = csv.field_size_limit()
    heading, *lines = GOOD.splitlines()
    wide = [f"{line},{'1 ' * 100_000}" for line in lines]
    assert len(read("\n".join([f"{heading},labels_by_client", *wide])).rows) == len(lines)
    assert csv.field_size_limit() == before


def test_cycles_order_the_rows_and_may_buy_nothing():
    text = (
        "cycle,task,strategy,seed,labels,accuracy\n2,a,s,0,20,0.3\n0,a,s,0,10,0.1\n1,a,s,0,10,0.2"
    )
    assert [row["accuracy"] for row in read(text).rows] == [0.1, 0.2, 0.3]


def test_optional_columns_and_what_spreadsheets_do_to_files():
    text = (
        "TASK,task,strategy,seed,labels,accuracy,labels_strict,task_hash,reference,loss\r\n"
        f'x,a,"mine, mostly", 0 ,10.0,1,12.0,{HASH},TRUE,\r\n'
        "\r\n"
    )
    read_ = read(text)
    (row,) = read_.rows
    assert (row["strategy"], row["seed"], row["labels"]) == ("mine, mostly", 0, 10)
    assert (row["labels_strict"], row["task_hash"], row["reference"]) == (12, HASH, True)
    assert row["loss"] is None
    assert (read_.ignored, read_.metrics) == (("TASK",), ("accuracy", "loss"))


def test_any_other_column_of_numbers_is_a_metric_and_none_is_needed_by_name():
    text = GOOD.replace("accuracy", "auroc_macro").replace("\n", ",note\n", 1)
    text = "\n".join([*text.splitlines()[:1], *(f"{line},x" for line in text.splitlines()[1:])])
    read_ = read(text)
    assert (read_.metrics, read_.ignored) == (("auroc_macro",), ("note",))
    assert [row["auroc_macro"] for row in read_.rows] == [0.1, 0.5, 0.2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "curves.csv is empty"),
        (GOOD.splitlines()[0], "no rows"),
        ("task,strategy,seed,labels\na,s,0,1", "line 1: .*no column accuracy"),
        (GOOD.replace(",", ";"), "line 1: .*no column task; .* commas"),
        (GOOD.replace("strategy", "task"), "line 1: .*no column strategy"),
        (GOOD.replace("seed,", "task,seed,"), "line 1: .*two columns 'task'"),
        (changed(3, "a,mine,0,20"), "line 3: .*4 values for 5"),
        (changed(3, "a,mine,0,20,high"), "line 3, column accuracy: 'high' "),
        (changed(3, "a,mine,0,20,nan"), "line 3, column accuracy: 'nan' .*finite"),
        (changed(3, "a,mine,0,20,62"), "column accuracy: 62 .*write 0.62"),
        (changed(3, "a,mine,0,20,-0.1"), "line 3, column accuracy: -0.1 "),
        (changed(3, "a,mine,0,,0.5"), "line 3, column labels: .*no value"),
        (changed(3, "a,mine,0,20.5,0.5"), "line 3, column labels: '20.5' "),
        (changed(3, "a,mine,-1,20,0.5"), "line 3, column seed: '-1' "),
        (changed(3, "a,,0,20,0.5"), "line 3, column strategy: .*no value"),
        (changed(3, "a,mi\x1bne,0,20,0.5"), "line 3, column strategy: .*printable"),
        (changed(3, "a,mi\u202ene,0,20,0.5"), "line 3, column strategy: .*printable"),
        (changed(3, "a,mi\x00ne,0,20,0.5"), "line 3, column strategy: .*printable"),
        (changed(3, "a,mi\ud800ne,0,20,0.5"), "line 3, column strategy: .*printable"),
        (changed(3, 'a,"=HYPERLINK(""x"")",0,20,0.5'), "line 3, column strategy: .*formula"),
        (changed(3, "@SUM,mine,0,20,0.5"), "line 3, column task: .*formula"),
        (changed(3, "a,+mine,0,20,0.5"), "line 3, column strategy: .*formula"),
        (changed(3, "a,-mine,0,20,0.5"), "line 3, column strategy: .*formula"),
        (changed(3, f"a,{201 * 'x'},0,20,0.5"), "line 3, column strategy: .*200"),
        (changed(3, f"a,mine,{101 * '1'},20,0.5"), "line 3, column seed: .*101 digits"),
        (changed(3, f"a,mine,{10000 * '1'},20,0.5"), "line 3, column seed: .*10000 digits"),
        (changed(3, "a,mine,1_0,20,0.5"), "line 3, column seed: '1_0'"),
        (changed(3, "a,mine,\u0663,20,0.5"), "line 3, column seed: "),
        (changed(3, f"a,mine,0,{2**53 + 1},0.5"), "line 3, column labels: .*too large"),
        (changed(3, "a,mine,0,20,1_0e-1"), "line 3, column accuracy: '1_0e-1' "),
        (changed(3, "a,mine,0,20,1e999"), "line 3, column accuracy: '1e999' .*finite"),
        (changed(3, "a,mine,0,5,0.5"), "line 3, column labels: .* 10 to 5"),
        (changed(3, "a,mine,0,10,0.5"), "column labels: .* labels 10 on line 2"),
        (changed(3, 'a,"mine,0,20,0.5'), "line 4: this is no CSV"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_line_and_column(text, message):
    with pytest.raises(ExternalCurvesError, match=message) as caught:
        read(text)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith("curves.csv")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("cycle", ["0", "0", "0"], "line 3, column cycle: .* line 2"),
        ("cycle", ["0", "", "0"], "line 3, column cycle: .*no value"),
        ("cycle", ["1", "0", "0"], "line 2, column labels: .* 20 to 10"),
        ("labels_strict", ["10", "", ""], "line 3, .* some rows"),
        ("labels_strict", ["10", "19", ""], "line 3, .* 19 .* 20 "),
        ("labels_strict", ["90", "80", ""], "line 3, .* 90 to 80"),
        ("task_hash", ["abc", "", ""], "line 2, column task_hash: .* 64 hexadecimal digits"),
        ("task_hash", [HASH, "", ""], "line 3, column task_hash: .* same task on line 2"),
        ("reference", ["yes", "", ""], "line 2, column reference: 'yes' "),
        ("reference", ["true", "", ""], "line 3, column reference: .* same strategy on line 2"),
        ("loss", ["-1", "", ""], "line 2, column loss: -1 "),
        ("precision", ["2", "", ""], "line 2, column precision: 2 "),
    ],
)
def test_mistakes_in_optional_columns(column, values, message):
    lines = zip(GOOD.splitlines(), [column, *values], strict=True)
    with pytest.raises(ExternalCurvesError, match=message):
        read("\n".join(f"{line},{value}" for line, value in lines))


@given(st.integers(0, 10**100 - 1), st.integers(0, 10**100 - 1))
def test_seeds_are_exact_whatever_their_size(one, other):
    text = f"task,strategy,seed,labels,accuracy\na,s,{one},10,0.1\n"
    text += f"a,s,{other},10,0.1\n" if other != one else ""
    assert {row["seed"] for row in read(text).rows} == {one, other}


def test_more_cells_than_fit_are_refused(monkeypatch):
    monkeypatch.setattr("fal_bench.results.imported.MOST_CELLS", 25)
    assert len(read(GOOD).rows) == 3
    with pytest.raises(ExternalCurvesError, match="more than 25 values"):
        read(f"{GOOD}a,mine,1,20,0.2\n")


def test_one_hash_is_one_task():
    text = f"task,strategy,seed,labels,accuracy,task_hash\na,s,0,1,0.1,{HASH}\nb,s,0,1,0.1,{HASH}\n"
    with pytest.raises(ExternalCurvesError, match="line 3, column task: "):
        read(text)


def test_lines_are_counted_from_that_of_the_file():
    with pytest.raises(ExternalCurvesError, match="line 4, column accuracy"):
        read(changed(3, "a,mine,0,20,high"), first_line=2)


@given(st.text(max_size=200), st.integers(0, 3))
def test_whatever_stands_in_a_file_is_read_or_refused(text, place):
    lines = GOOD.splitlines()
    lines[place] = text
    try:
        rows = read("\n".join(lines)).rows
    except ExternalCurvesError:
        return
    assert all(0 <= row.get("accuracy", 0) <= 1 and row["labels"] >= 0 for row in rows)


# In a results folder.

FILE = "task,strategy,seed,labels,accuracy,loss\ntiny,mine,0,10,0.1,0.30000000000000004\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "their curves.csv"
    path.write_text(FILE)
    return path


def add(file, root, name=None):
    return ImportFolder(root).add(read_import(file, [TINY], name=name))


def test_what_was_read_is_what_is_stored(file, tmp_path):
    new = read_import(file, [TINY])
    assert (new.origin.name, new.origin.file) == ("their-curves", "their curves.csv")
    assert new.curves.ignored == ()
    root = tmp_path / "results"
    assert ImportFolder(root).add(new) is new
    (kept,) = ImportFolder(root).imports()
    assert (kept.origin, kept.curves.rows) == (new.origin, new.curves.rows)
    opened = [fal_bench.load(path).curves for path in (file, root / "external/their-curves.csv")]
    pd.testing.assert_frame_equal(*opened)
    assert opened[0]["loss"].tolist() == [0.30000000000000004]
    assert [path.name for path in (root / "external").iterdir()] == ["their-curves.csv"]


def test_the_same_file_twice_changes_nothing(file, tmp_path):
    first = add(file, tmp_path)
    stored = tmp_path / "external" / "their-curves.csv"
    before = (stored.stat().st_mtime_ns, stored.read_bytes())
    copy = file.rename(tmp_path / "copy.csv")
    for name in (None, "another"):
        assert add(copy, tmp_path, name).origin == first.origin
    assert (stored.stat().st_mtime_ns, stored.read_bytes()) == before
    assert ImportFolder(tmp_path).names() == ["their-curves"]


def test_other_curves_never_take_the_place_of_earlier_ones(file, tmp_path):
    add(file, tmp_path)
    file.write_text(FILE.replace("0.1", "0.2"))
    with pytest.raises(ExternalCurvesError, match="'their-curves' already"):
        add(file, tmp_path)
    add(file, tmp_path, "newer")
    assert ImportFolder(tmp_path).names() == ["newer", "their-curves"]


def test_they_are_removed_by_name_or_by_hand(file, tmp_path):
    folder = ImportFolder(tmp_path)
    with pytest.raises(StoreError, match="no external curves"):
        folder.remove("their-curves")
    add(file, tmp_path)
    with pytest.raises(UnknownNameError, match="'their-curves'"):
        folder.remove("their-curve")
    folder.remove("their-curves")
    assert folder.imports() == []
    add(file, tmp_path)
    (tmp_path / "external" / "their-curves.csv").unlink()
    assert folder.imports() == []


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "../x"])
def test_names_are_names_of_files(file, name):
    with pytest.raises(ExternalCurvesError, match="--name cannot be"):
        read_import(file, [TINY], name=name)


def test_files_that_are_no_text_and_unknown_tasks_are_refused(file):
    with pytest.raises(ExternalCurvesError, match=r"column task: .*'tiny'"):
        read_import(file, [TINY.model_copy(update={"name": "other"})])
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UnreadableFileError, match="UTF-8"):
        read_import(file, [TINY])


def test_a_byte_order_mark_is_no_part_of_the_first_column(file):
    file.write_text(f"\ufeff{FILE}", encoding="utf-8")
    assert read_import(file, [TINY]).curves.rows[0]["task"] == "tiny"


@pytest.mark.parametrize(
    "spoil", [os.mkfifo, lambda path: path.touch() or os.truncate(path, 2**40)], ids=["pipe", "TB"]
)
def test_special_and_huge_files_are_refused_before_they_cost_anything(file, spoil):
    file.unlink()
    spoil(file)
    with pytest.raises(UnreadableFileError, match="their curves"):
        read_import(file, [TINY])


def test_the_name_of_a_file_may_be_any_bytes(file, tmp_path):
    path = tmp_path / os.fsdecode(b"=caf\xe9\x1b[2J.csv")
    file.rename(path)
    add(path, tmp_path, "coffee")
    (kept,) = ImportFolder(tmp_path).imports()
    assert kept.origin.file.isprintable()
    assert not kept.origin.file.startswith("=")


def test_seeds_of_more_than_64_bits_are_reported(file, tmp_path):
    seeds = [10**18 + 1, 10**18 + 2, 10**38 + 1]
    rows = "".join(f"tiny,mine,{seed},10,0.1,0.3\n" for seed in seeds)
    file.write_text(FILE.splitlines(keepends=True)[0] + rows)
    add(file, tmp_path)
    opened = fal_bench.load(tmp_path / "external" / "their-curves.csv")
    assert sorted(opened.runs["seed"]) == seeds
    assert opened.curves["key"].nunique() == 3


def test_imports_of_earlier_versions_have_no_digest(file, tmp_path):
    new = add(file, tmp_path)
    stored = tmp_path / "external" / "their-curves.csv"
    first, _, rows = stored.read_text().partition("\n")
    mark, _, facts = first.partition("{")
    facts = json.loads(f"{{{facts}")
    del facts["digest"]
    stored.write_text(f"{mark}{json.dumps(facts)}\n{rows}")
    assert ImportFolder(tmp_path).imports()[0].curves.rows == new.curves.rows


def test_a_task_is_known_by_its_hash_whatever_its_name(file):
    file.write_text(f"task,strategy,seed,labels,accuracy,task_hash\nx,mine,0,10,0.1,{TINY.hash}\n")
    assert read_import(file, [TINY]).curves.rows[0]["task"] == "x"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text[text.index("\n") + 1 :], "Cannot read .*their-curves.csv'"),
        (lambda text: text.replace("their curves", "our curves"), "their-curves.csv' .*changed"),
        (lambda text: text.replace("0.1", "0.2"), "their-curves.csv' .*changed"),
        (lambda text: "", "Cannot read .*their-curves"),
    ],
)
def test_a_spoiled_import_is_named(file, tmp_path, spoil, message):
    add(file, tmp_path)
    stored = tmp_path / "external" / "their-curves.csv"
    stored.write_text(spoil(stored.read_text()))
    with pytest.raises(ExternalCurvesError, match=message):
        ImportFolder(tmp_path).imports()


def test_a_folder_that_cannot_be_written(file, tmp_path):
    (tmp_path / "external").write_text("")
    with pytest.raises(StoreError, match="Cannot write to"):
        add(file, tmp_path)
