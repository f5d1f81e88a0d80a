from pathlib import Path

import pytest

from fal_bench.data.folders import (
    CACHE_VARIABLE,
    DATA_VARIABLE,
    Folders,
    current_folders,
    data_folder,
    data_folder_is_new,
    download_folder,
    own_path,
    use_data_folder,
    use_folders,
)
from fal_bench.errors import DataError


@pytest.mark.parametrize("value", [None, ""])
def test_variables_name_them_and_by_default_they_are_in_the_users_cache(
    monkeypatch, tmp_path, value
):
    assert current_folders() == Folders(tmp_path / "data", tmp_path / "cache")
    for variable in (DATA_VARIABLE, CACHE_VARIABLE):
        monkeypatch.delenv(variable) if value is None else monkeypatch.setenv(variable, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    home = tmp_path / "xdg" / "falbench"
    assert current_folders() == Folders(home / "data", home / "prepared")
    assert data_folder() == home / "data"  # it need not exist
    assert not data_folder_is_new()


def test_a_relative_or_home_path_means_the_same_everywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with use_data_folder(Path("here")):
        assert current_folders().data == tmp_path / "here"
        monkeypatch.chdir("/")
        assert current_folders().data == tmp_path / "here"
    with use_data_folder(Path("~/there")):
        assert current_folders().data == tmp_path / "home" / "there"


def test_a_choice_holds_while_it_is_open(tmp_path):
    before = current_folders()
    with use_data_folder(tmp_path / "a"):
        chosen = Folders(tmp_path / "a", before.cache)
        assert current_folders() == chosen
        with use_data_folder(None), use_folders(None):
            assert current_folders() == chosen
        with use_folders(Folders(tmp_path / "b", tmp_path / "c")):
            assert current_folders() == Folders(tmp_path / "b", tmp_path / "c")
        assert current_folders() == chosen
    assert current_folders() == before


@pytest.mark.parametrize("name", ["no", "file"])
def test_a_folder_that_is_named_must_exist_and_the_message_says_who_names_it(
    monkeypatch, tmp_path, name
):
    (tmp_path / "file").write_text("")
    with use_data_folder(tmp_path / name):
        for read in (data_folder, lambda: own_path(Path("mine.npz"))):
            with pytest.raises(DataError, match=f"/{name}', .*--data-dir"):
                read()
        assert own_path(tmp_path / "mine.npz") == tmp_path / "mine.npz"
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / name))
    with pytest.raises(DataError, match=f"/{name}', which {DATA_VARIABLE}"):
        data_folder()


def test_a_download_may_make_a_folder_but_not_its_parent(tmp_path):
    with use_data_folder(tmp_path / "new"):
        assert data_folder_is_new()
        assert download_folder() == tmp_path / "new"
    with use_data_folder(tmp_path / "no" / "such"), pytest.raises(DataError, match="/no/such"):
        download_folder()
