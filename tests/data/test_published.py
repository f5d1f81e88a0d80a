import pytest

from fal_bench.data.folders import download_folder, use_data_folder
from fal_bench.data.published import PublishedFile, fetch
from fal_bench.errors import DataError

CONTENT = bytes(range(256)) * 500


@pytest.fixture
def wanted(server):
    import hashlib

    server.files["toy.bin"] = CONTENT
    return PublishedFile(
        "toy", "toy.bin", (f"{server.url}toy.bin",), hashlib.md5(CONTENT).hexdigest()
    )


def elsewhere(wanted, *urls):
    return PublishedFile(wanted.dataset, wanted.filename, urls, wanted.md5)


def test_a_file_is_downloaded_once(wanted, server, folders, entries):
    path = fetch(wanted, folders.data / "deep")
    assert path.read_bytes() == CONTENT
    served = len(server.served)
    assert fetch(wanted, folders.data / "deep") == path
    assert len(server.served) == served
    assert entries(folders.data / "deep") == ["toy.bin"]


def test_a_file_put_there_by_hand_needs_no_network(wanted, nowhere, folders):
    (folders.data / "toy.bin").write_bytes(CONTENT)
    assert fetch(elsewhere(wanted, nowhere), folders.data).read_bytes() == CONTENT


def test_a_damaged_file_is_replaced(wanted, folders):
    (folders.data / "toy.bin").write_bytes(CONTENT[:100])
    assert fetch(wanted, folders.data).read_bytes() == CONTENT


def test_the_next_address_is_tried(wanted, server, folders):
    urls = (f"{server.url}gone", *wanted.urls)
    assert fetch(elsewhere(wanted, *urls), folders.data).read_bytes() == CONTENT


def test_offline_the_folder_and_the_file_are_named(wanted, nowhere, folders, entries):
    with pytest.raises(DataError) as caught:
        fetch(elsewhere(wanted, f"{nowhere}toy.bin"), folders.data)
    message = str(caught.value)
    assert f"'{folders.data}/toy.bin' is not there" in message
    assert f"put 'toy.bin' of {nowhere}toy.bin into the folder '{folders.data}'" in message
    assert "data_dir or FALBENCH_DATA" in message
    assert "refused" in message
    assert entries(folders.data) == []


@pytest.mark.parametrize("cut", [1, len(CONTENT)])
def test_a_truncated_download_is_no_file(wanted, server, folders, entries, cut):
    server.cut = cut
    with pytest.raises(DataError, match=r"toy.bin is truncated or another file"):
        fetch(wanted, folders.data)
    assert entries(folders.data) == []


def test_another_file_under_the_address_is_refused(wanted, server, folders, entries):
    server.files["toy.bin"] = CONTENT[::-1]
    with pytest.raises(DataError, match="truncated or another file"):
        fetch(wanted, folders.data)
    assert entries(folders.data) == []


def test_a_damaged_file_stays_for_inspection_when_offline(wanted, nowhere, folders):
    (folders.data / "toy.bin").write_bytes(b"half")
    with pytest.raises(DataError, match=r"toy.bin' is damaged and cannot be downloaded"):
        fetch(elsewhere(wanted, nowhere), folders.data)
    assert (folders.data / "toy.bin").read_bytes() == b"half"


def test_a_data_folder_that_cannot_be_written_is_named(wanted, folders):
    (folders.data / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot use the data folder .*file/sub.*data_dir"):
        fetch(wanted, folders.data / "file" / "sub")


def test_a_named_folder_that_is_new_is_made_and_said_so(wanted, tmp_path, capsys, entries):
    with use_data_folder(tmp_path / "new"):
        fetch(wanted, download_folder() / "deep")
        assert entries(tmp_path / "new" / "deep") == ["toy.bin"]
        fetch(wanted, download_folder() / "deep")
    errors = capsys.readouterr().err
    assert errors.count(f"Note: the data folder '{tmp_path}/new', which --data-dir or") == 1


def test_no_folder_is_left_of_a_download_that_fails(wanted, nowhere, tmp_path):
    with (
        use_data_folder(tmp_path / "typo"),
        pytest.raises(DataError, match="is not there and cannot be downloaded"),
    ):
        fetch(elsewhere(wanted, f"{nowhere}toy.bin"), download_folder() / "deep")
    assert not (tmp_path / "typo").exists()
