"""Where data lie, on the command line."""

import numpy as np
import pytest

from fal_bench.data.folders import CACHE_VARIABLE, DATA_VARIABLE, current_folders

SUITE = """
[tasks.mine]
dataset = "npz[path=mine.npz]"
clients = 2
model = { kind = "mlp", hidden = [4] }
rounds = 1
local_epochs = 1
initial_labels = 3
query_size = 2
budget_cap = 14
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data folder with one file of small images, and a suite that names it."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "empty"))
    rng = np.random.default_rng(0)
    content = {}
    for part, count in (("train", 60), ("test", 20)):
        labels = np.arange(count) % 2
        pixels = rng.integers(0, 128, (count, 3, 3)) + 100 * labels[:, None, None]
        content |= {f"{part}_images": pixels.astype(np.uint8), f"{part}_labels": labels}
    (tmp_path / "home").mkdir()
    np.savez(tmp_path / "home" / "mine.npz", **content)
    (tmp_path / "mine.toml").write_text(SUITE)
    return tmp_path / "home"


def test_data_dir_names_the_data_folder(falbench, home):
    arguments = ["compare", "--suite", "mine.toml", "-s", "random", "--seeds", 1, "--dry-run"]
    arguments += ["--backend", "sequential"]
    code, _, err = falbench(*arguments)
    assert code == 2
    assert f"empty', which {DATA_VARIABLE} names" in err
    assert len(err.splitlines()) == 1
    (home.parent / "empty").mkdir()
    code, _, err = falbench(*arguments)
    assert code == 2
    assert "empty/mine.npz" in err
    assert "data_dir" in err
    code, out, err = falbench(*arguments, "--data-dir", "nosuch")
    assert (code, out) == (2, "")
    assert "nosuch'" in err
    assert "--data-dir" in err
    assert len(err.splitlines()) == 1
    code, out, err = falbench(*arguments, "--data-dir", home.name)
    assert code == 0, err
    assert "1 of 1 runs" in out
    code, out, err = falbench("status", "--suite", "mine.toml", "--data-dir", home, "-s", "random")
    assert code == 0, err
    assert current_folders().data == home.parent / "empty"


def test_a_damaged_file_ends_with_one_sentence_and_no_results(falbench, home, tmp_path):
    (home / "mine.npz").write_bytes((home / "mine.npz").read_bytes()[:500])
    code, _, err = falbench("compare", "--suite", "mine.toml", "--data-dir", home)
    assert code == 2
    assert err.startswith("Error: Cannot read ")
    assert err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_data_sets_are_described(falbench, home):
    code, out, _ = falbench("list", "datasets")
    assert code == 0
    plain = out.split()
    assert {"digits", "fashion-mnist", "cifar10", "cifar100", "svhn", "npz"} <= set(plain)
    code, out, err = falbench("list", "datasets", "--verbose", "--data-dir", home)
    assert code == 0, err
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert list(lines) == plain
    parameters = ("path (needed)", "size", "colour=rgb", "train", "test")
    assert ", ".join(parameters) in lines["imagefolder"]
    assert f"downloads it to {home}" in lines["svhn"]
    assert "in scikit-learn" in lines["digits"]
