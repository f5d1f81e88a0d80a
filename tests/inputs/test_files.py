"""Files that anybody may have put there: bounded, and never through special files."""

import json
import os
from pathlib import Path

import pytest

from fal_bench.inputs.files import (
    MOST_DEPTH,
    MissingFileError,
    UnreadableFileError,
    read_bytes,
    read_json,
    read_text,
)


def _links_to_itself(path):
    path.symlink_to(path)


def _links_to_a_file(path):
    other = path.with_name("other")
    other.write_text("{}")
    path.symlink_to(other)


def _is_huge(path):
    path.touch()
    os.truncate(path, 2**30)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda path: path.mkdir(), "directory"),
        (os.mkfifo, "pipe"),
        (_links_to_itself, "symbolic link"),
        (_links_to_a_file, "symbolic link"),
        (_is_huge, "bytes"),
    ],
)
def test_special_and_huge_files_are_refused_without_a_wait(tmp_path, make, cause):
    path = tmp_path / "facts.json"
    make(path)

    with pytest.raises(UnreadableFileError, match=cause) as caught:
        read_bytes(path)

    assert caught.value.path == path
    assert "facts.json" in str(caught.value)


def test_a_device_is_refused():
    with pytest.raises(UnreadableFileError, match="device"):
        read_bytes(Path(os.devnull))


def test_a_missing_file_is_an_error_of_its_own(tmp_path):
    with pytest.raises(MissingFileError):
        read_bytes(tmp_path / "none")


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError):
        read_bytes(tmp_path / "a\0b")


def test_a_user_may_name_a_link(tmp_path):
    path = tmp_path / "facts.json"
    _links_to_a_file(path)

    assert read_json(path, links=True) == {}

    path.unlink()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path.symlink_to(pipe)
    with pytest.raises(UnreadableFileError, match="pipe"):
        read_json(path, links=True)


def test_the_bound_counts_bytes(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"12345")

    assert read_bytes(path, most=5) == b"12345"
    with pytest.raises(UnreadableFileError):
        read_bytes(path, most=4)


def test_text_is_utf8_and_loses_its_byte_order_mark(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("\ufeffä\r\n".encode())
    assert read_text(path) == "ä\r\n"

    path.write_bytes(b"ab\xff")
    with pytest.raises(UnreadableFileError, match="byte 3"):
        read_text(path)


def _nested(depth):
    return "[" * depth + "1" + "]" * depth


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "line 1"),
        ('{"a": 1,}', "column 9"),
        (_nested(MOST_DEPTH + 1), "deep"),
        ("[" * 100_000, "deep"),
        (_nested(100_000), "deep"),
        ('{"a":' * 100_000, "deep"),
        ("1" * 5_000, "digits"),
        ("-" + "1" * 5_000, "digits"),
        ("1e999", "finite"),
        ("NaN", "finite"),
        ('{"a": 1, "b": 2, "a": 1}', "'a'"),
        (r'["\ud800"]', "surrogate"),
        (r'{"\udfff": 1}', "surrogate"),
    ],
    ids=range(13),
)
def test_json_that_would_cost_or_break_something_is_refused(tmp_path, text, cause):
    path = tmp_path / "facts.json"
    path.write_text(text)

    with pytest.raises(UnreadableFileError, match=cause):
        read_json(path)


@pytest.mark.parametrize(
    "value",
    [{"a": [1, -(2**63), 2**128, 0.5, "ä😀", None, True]}, json.loads(_nested(MOST_DEPTH))],
)
def test_all_other_json_is_read_as_it_is(tmp_path, value):
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(value))

    assert read_json(path) == value
