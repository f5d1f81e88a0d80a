import hashlib

import pytest

from fal_bench.data.folders import download_folder, use_data_folder
from fal_bench.data.published import PublishedFile, fetch
from fal_bench.errors import DataError

CONTENT = bytes(range(256)) * 500


@pytest.fixture
def wanted(server):
    server.files["toy.bin"] = CONTENT

    def file(*addresses):
        urls = tuple(f"{address}toy.bin" for address in addresses or (server.url,))
        return PublishedFile("toy", "toy.bin", urls, hashlib.md5(CONTENT).hexdigest())

    return file


def test_a_file_is_downloaded_once(wanted, server, folders, entries):
    for _ in range(2):
        path = fetch(wanted(), folders.data / "deep")
        assert path.read_bytes() == CONTENT
        server.files.clear()
    assert entries(folders.data / "deep") == ["toy.bin"]


def test_a_file_put_there_by_hand_needs_no_network_unless_it_is_damaged(wanted, nowhere, folders):
    (folders.data / "toy.bin").write_bytes(CONTENT)
    assert fetch(wanted(nowhere), folders.data).read_bytes() == CONTENT
    (folders.data / "toy.bin").write_bytes(b"half")
    with pytest.raises(DataError, match=r"toy\.bin.*damaged"):
        fetch(wanted(nowhere), folders.data)
    assert (folders.data / "toy.bin").read_bytes() == b"half"  # for the user to look at
    assert fetch(wanted(), folders.data).read_bytes() == CONTENT


def test_the_next_address_is_tried(wanted, server, folders):
    addresses = (f"{server.url}gone", server.url)
    assert fetch(wanted(*addresses), folders.data).read_bytes() == CONTENT


def test_offline_the_folder_the_file_and_its_address_are_named(wanted, nowhere, folders, entries):
    with pytest.raises(DataError, match="refused") as caught:
        fetch(wanted(nowhere), folders.data)
    for fact in (f"'{folders.data}/toy.bin'", f"{nowhere}toy.bin", "data_dir or FALBENCH_DATA"):
        assert fact in str(caught.value)
    assert entries(folders.data) == []


@pytest.mark.parametrize("cut", [0, 1, len(CONTENT)])
def test_a_truncated_download_or_another_file_is_refused(wanted, server, folders, entries, cut):
    server.cut = cut
    if not cut:
        server.files["toy.bin"] = CONTENT[::-1]
    with pytest.raises(DataError, match=r"toy\.bin.*truncated"):
        fetch(wanted(), folders.data)
    assert entries(folders.data) == []


def test_a_data_folder_that_cannot_be_written_is_named(wanted, folders):
    (folders.data / "file").write_text("")
    with pytest.raises(DataError, match="file/sub"):
        fetch(wanted(), folders.data / "file" / "sub")


def test_a_named_folder_that_is_new_is_made_with_a_note(wanted, tmp_path, capsys, entries):
    with use_data_folder(tmp_path / "new"):
        for _ in range(2):
            fetch(wanted(), download_folder() / "deep")
            assert entries(tmp_path / "new" / "deep") == ["toy.bin"]
    assert capsys.readouterr().err.count(f"'{tmp_path}/new', ") == 1


def test_no_folder_is_left_of_a_download_that_fails(wanted, nowhere, tmp_path):
    with use_data_folder(tmp_path / "typo"), pytest.raises(DataError, match="typo"):
        fetch(wanted(nowhere), download_folder() / "deep")
    assert not (tmp_path / "typo").exists()
