"""Imports in a results folder: stored once, taken away again, and never half there."""

import pytest
from stored import TINY

from fal_bench.errors import ExternalCurvesError, StoreError, UnknownNameError
from fal_bench.external.folder import ExternalFolder, read_import

GOOD = "task,strategy,seed,labels,accuracy,loss\ntiny,mine,0,10,0.1,0.30000000000000004\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "their curves.csv"
    path.write_text(GOOD)
    return path


def add(file, root, name=None):
    new, _ = read_import(file, [TINY], name=name)
    return ExternalFolder(root).add(new)


def test_what_was_read_is_what_is_stored(file, tmp_path):
    new, ignored = read_import(file, [TINY])
    assert (new.name, new.file, ignored) == ("their-curves", "their curves.csv", ())
    root = tmp_path / "results"
    assert ExternalFolder(root).add(new) is new
    assert ExternalFolder(root).imports() == [new]
    assert [path.name for path in (root / "external").iterdir()] == ["their-curves.csv"]


def test_the_same_file_twice_changes_nothing(file, tmp_path):
    first = add(file, tmp_path)
    stored = tmp_path / "external" / "their-curves.csv"
    before = (stored.stat().st_mtime_ns, stored.read_bytes())
    copy = file.rename(tmp_path / "copy.csv")
    for name in (None, "another"):
        assert add(copy, tmp_path, name) == first
    assert (stored.stat().st_mtime_ns, stored.read_bytes()) == before
    assert ExternalFolder(tmp_path).names() == ["their-curves"]


def test_other_curves_never_take_the_place_of_earlier_ones(file, tmp_path):
    add(file, tmp_path)
    file.write_text(GOOD.replace("0.1", "0.2"))
    with pytest.raises(ExternalCurvesError, match="Other curves are imported as 'their-curves'"):
        add(file, tmp_path)
    add(file, tmp_path, "newer")
    assert ExternalFolder(tmp_path).names() == ["newer", "their-curves"]


def test_they_are_removed_by_name_or_by_hand(file, tmp_path):
    folder = ExternalFolder(tmp_path)
    with pytest.raises(StoreError, match="There are no external curves in"):
        folder.remove("their-curves")
    add(file, tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'their-curves'"):
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
    with pytest.raises(ExternalCurvesError, match="line 2, column task: unknown task 'tiny'; cho"):
        read_import(file, [TINY.model_copy(update={"name": "other"})])
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ExternalCurvesError, match="is not UTF-8"):
        read_import(file, [TINY])


def test_a_task_is_known_by_its_hash_whatever_its_name(file):
    file.write_text(f"task,strategy,seed,labels,accuracy,task_hash\nx,mine,0,10,0.1,{TINY.hash}\n")
    assert read_import(file, [TINY])[0].rows[0].task == "x"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text[text.index("\n") + 1 :], "Cannot read the external curves '.*csv'"),
        (lambda text: text.replace("0.1", "1.1"), "their-curves.csv, line 3, column accuracy"),
        (lambda text: "", "Cannot read the external curves"),
    ],
)
def test_a_spoiled_import_is_named(file, tmp_path, spoil, message):
    add(file, tmp_path)
    stored = tmp_path / "external" / "their-curves.csv"
    stored.write_text(spoil(stored.read_text()))
    with pytest.raises(ExternalCurvesError, match=message):
        ExternalFolder(tmp_path).imports()


def test_a_folder_that_cannot_be_written(file, tmp_path):
    (tmp_path / "external").write_text("")
    with pytest.raises(StoreError, match="Cannot write to"):
        add(file, tmp_path)
