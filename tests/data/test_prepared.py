"""Read once, mapped, complete or not there at all."""

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fal_bench.data import prepared
from fal_bench.data.prepared import CacheKey, Part, Source, prepare, prepared_names, stamp
from fal_bench.errors import DataError


def part(count, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return Part.of(images, np.arange(count) % 3)


def source(**more):
    return Source(part(12, 0), part(6, 1), 3, **more)


class Reader:
    """Counts how often it reads."""

    def __init__(self, result=None, error=None):
        self.calls = 0
        self._result, self._error = result or source(), error

    def __call__(self, scratch):
        self.calls += 1
        (scratch / "working").write_text("half")
        if self._error:
            raise self._error
        return self._result


KEY = CacheKey("toy", {"train": None})


def test_it_is_read_once_and_is_the_same_afterwards():
    reader = Reader(source(digest="abc", train_files=["a.jpg", "b.jpg"]))
    first, second = prepare(KEY, reader), prepare(KEY, reader)
    assert reader.calls == 1
    assert first == second
    assert (first.n_classes, first.digest) == (3, "abc")
    assert (first.path / "train_files.txt").read_text() == "a.jpg\nb.jpg\n"
    dataset = first.dataset("toy")
    assert dataset.normalisation == first.normalisation
    pixels = part(12, 0).images / 255
    expected = (pixels - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    np.testing.assert_allclose(dataset.train_features, expected.transpose(0, 3, 1, 2), rtol=1e-5)
    assert dataset.test_labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert prepared_names() == {"toy"}


def test_rows_say_where_samples_come_from_and_features_are_kept_as_they_are():
    features = np.random.default_rng(0).normal(size=(12, 5, 1, 1)).astype(np.float32)
    chosen = Part.of(features, np.arange(12) % 3, np.array([5, 1, 9]))
    ready = prepare(KEY, Reader(Source(chosen, chosen, 3)))
    assert ready.normalisation is None
    assert np.load(ready.path / "train_rows.npy").tolist() == [5, 1, 9]
    dataset = ready.dataset("toy")
    assert dataset.train_labels.tolist() == [2, 1, 0]
    np.testing.assert_array_equal(dataset.train_features, features[[5, 1, 9]])


def test_a_process_that_writes_changes_only_its_own_view():
    dataset = prepare(KEY, Reader()).dataset("toy")
    before = dataset.train_features.clone()
    dataset.train_features.zero_()
    again = prepare(KEY, Reader()).dataset("toy")
    assert torch.equal(again.train_features, before)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DataError("gone"), "gone"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space .*FALBENCH_CACHE"),
    ],
)
def test_a_failed_reader_leaves_nothing_behind(folders, error, message):
    litter = folders.cache / f".{KEY.place_name}"  # of a process that was killed
    litter.mkdir(parents=True)
    (litter / "facts.json").write_text("{}")
    with pytest.raises(DataError, match=message):
        prepare(KEY, Reader(error=error))
    assert not [path for path in folders.cache.iterdir() if path.is_dir()]
    assert prepared_names() == set()
    assert prepare(KEY, Reader()).n_classes == 3


def test_a_cache_that_cannot_be_written_is_named(folders):
    assert prepared_names() == set()
    folders.cache.write_text("a file")
    with pytest.raises(DataError, match=r"(?s)'toy'.*FALBENCH_CACHE"):
        prepare(KEY, Reader())


FILES = [f"{part}_{what}.npy" for part in ("train", "test") for what in ("features", "labels")]


def overwrite(path, kept=None):
    """Change the last bytes, in place; with ``kept``, under the date that it had."""
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(b"\1" * 8)
    if kept:
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))


def test_a_copy_is_read_for_its_checksums_only_when_it_has_changed(monkeypatch):
    ready = prepare(KEY, Reader())
    read = []
    checksum = prepared.file_checksum
    monkeypatch.setattr(prepared, "file_checksum", lambda path: read.append(path) or checksum(path))
    assert prepare(KEY, Reader()) == ready
    assert not read
    touched = ready.path / "train_features.npy"
    os.utime(touched)
    for _ in range(2):
        assert prepare(KEY, Reader(error=AssertionError)) == ready
    assert read == [touched]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("train_features.npy", lambda path: path.write_bytes(path.read_bytes()[:-9])),
        ("test_labels.npy", lambda path: path.write_bytes(b"")),
        ("test_features.npy", lambda path: path.unlink()),
        ("facts.json", lambda path: path.write_text('{"n_classes": 3}')),
        ("checksums.json", lambda path: path.write_text("[]")),
        ("train_features.npy", lambda path: overwrite(path, kept=path.stat())),
        *((name, lambda path: overwrite(path)) for name in FILES),
    ],
)
def test_a_damaged_one_is_prepared_again(name, damage):
    ready = prepare(KEY, Reader())
    content = (ready.path / name).read_bytes()
    damage(ready.path / name)
    reader = Reader()
    assert (prepare(KEY, reader).path / name).read_bytes() == content
    assert reader.calls == 1


def test_a_new_state_replaces_the_old_one_of_its_place(folders):
    one, other = CacheKey("toy", {"path": "a"}, 1), CacheKey("toy", {"path": "b"}, 1)
    old, bystander = prepare(one, Reader()), prepare(other, Reader())
    new = prepare(CacheKey("toy", {"path": "a"}, 2), Reader())
    assert new.path.exists()
    assert bystander.path.exists()
    assert not old.path.exists()


def test_another_format_is_prepared_again(monkeypatch):
    prepare(KEY, Reader())
    monkeypatch.setattr(prepared, "FORMAT", prepared.FORMAT + 1)
    reader = Reader()
    prepare(KEY, reader)
    assert reader.calls == 1


PREPARE_SLOWLY = """
import sys, time
from pathlib import Path
import numpy as np
from fal_bench.data.prepared import CacheKey, prepare
from fal_bench.data.prepared import Part, Source

log = Path(sys.argv[1])

def read(scratch):
    with log.open("a") as file:
        file.write("x")
    time.sleep(1)
    part = Part.of(np.zeros((4, 2, 2, 1), np.uint8), np.arange(4) % 2)
    return Source(part, part, 2)

print("ready", flush=True)
sys.stdin.readline()
print(prepare(CacheKey("toy", {}), read).n_classes)
"""


def test_processes_that_start_at_once_prepare_it_once(tmp_path):
    log = tmp_path / "log"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE_SLOWLY, log],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert [worker.communicate()[0] for worker in workers] == ["2\n"] * 3
    assert log.read_text() == "x"


def test_a_stamp_is_new_after_every_write_however_soon(tmp_path):
    path = tmp_path / "file"
    stamps = []
    for content in b"abcdefgh":
        path.write_bytes(bytes([content]))
        os.utime(path, (1, 1))
        stamps.append(stamp(path.stat()))
    assert len({*map(str, stamps)}) == len(stamps)


@pytest.mark.parametrize(
    ("ahead", "waited"), [(0, 0.02), (-0.005, 0.015), (-1.0, 0.0), (3600.0, 0.0)]
)
def test_a_file_just_written_is_given_time_for_the_next_step_of_the_clock(
    monkeypatch, ahead, waited
):
    """But another machine's clock, far ahead of ours, is not waited for."""
    slept = []
    clock = SimpleNamespace(time_ns=lambda: 10**18, sleep=slept.append)
    monkeypatch.setattr(prepared, "time", clock)
    changed = 10**18 + int(ahead * 1e9)
    found = SimpleNamespace(st_size=1, st_mtime_ns=2, st_ctime_ns=changed, st_ino=3)
    assert stamp(found) == [1, 2, changed, 3]
    assert sum(slept) == pytest.approx(waited)
