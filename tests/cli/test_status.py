"""Which runs of a comparison are done, on any device and in any folder."""

import re

import pytest
from stored import store_run

from fal_bench.sweep.plan import Plan


@pytest.fixture
def gpu(monkeypatch):
    """Let a GPU be what is found when none is asked for."""
    monkeypatch.setattr(
        "fal_bench.sweep.plan.resolve_device", lambda name: "cuda" if name == "auto" else name
    )


@pytest.mark.usefixtures("gpu")
def test_runs_of_the_processor_are_asked_for_by_their_device(falbench, suite, tmp_path):
    for run in Plan.make("random", suite=suite, device="cpu").runs:
        store_run(tmp_path / "results", run)
    asked = ("status", "--suite", suite, "-s", "random")
    code, out, _ = falbench(*asked, "--device", "cpu")
    assert code == 0
    assert re.findall(r"(?m)^([ab]) +random +(\d)$", re.sub(" +\n", "\n", out)) == [
        ("a", "2"),
        ("b", "2"),
    ]
    assert "not asked for" not in out
    code, out, _ = falbench(*asked)
    assert code == 0
    assert "Stored, too, but not asked for: 4 runs of random (4)." in out


@pytest.mark.usefixtures("gpu")
def test_the_policy_of_a_run_of_the_processor_is_asked_for_by_its_device(falbench, suite, tmp_path):
    [run] = Plan.make("fedral", suite=suite, task="a", seeds=1, device="cpu").runs
    store_run(tmp_path / "results", run)
    asked = ("policy", "p.npz", "--suite", suite, "--task", "a")
    code, _, err = falbench(*asked)
    assert code == 2
    assert "no finished run" in err
    code, _, err = falbench(*asked, "--device", "cpu")
    assert code == 2
    assert "keeps no policy of client 0" in " ".join(err.split())


def test_a_folder_without_runs_is_like_one_that_is_not_there(falbench, suite, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "nowhere"):
        code, out, err = falbench("status", "--suite", suite, "-s", "random", "--out", folder)
        assert code == 0
        assert "Error" not in err
        assert f"There are no runs in '{folder}'" in out
